package main

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// invocation is what Ansible shows of the options at -vvv, as the module understood them. What was left
// out is left out.
type invocation struct {
	ModuleArgs concealed `json:"module_args"`
}

// concealed are options of which a copy without secrets can be shown.
type concealed interface{ shown() any }

func (a arguments) shown() any     { return a.withoutSecrets() }
func (a hostArguments) shown() any { return hostArguments{withoutPasswords(a.Hosts), a.Host} }
func (a domainArguments) shown() any {
	return domainArguments{withoutPasswords(a.Hosts), a.Name, a.UUID}
}

// MarshalJSON hides secrets, and leaves out what stands for "not given".
func (i invocation) MarshalJSON() ([]byte, error) {
	raw, err := json.Marshal(i.ModuleArgs.shown())
	if err != nil {
		return nil, err
	}
	given, err := object(raw)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"module_args": pruned(given)})
}

func pruned(o map[string]any) map[string]any {
	for key, v := range o {
		switch v := v.(type) {
		case nil:
			delete(o, key)
		case map[string]any:
			if o[key] = pruned(v); len(v) == 0 && (key == "migration" || key == "convergence") {
				delete(o, key) // a host's key, in the dictionary of hosts, stays
			}
		case bool:
			if !v {
				delete(o, key)
			}
		case string:
			if v == "" {
				delete(o, key)
			}
		case json.Number:
			if v == "0" {
				delete(o, key)
			}
		}
	}
	return o
}

// withoutSecrets is a copy of the options that may be shown. The engine refuses a password in a URI, but
// whoever wrote one shall not read it in a log.
func (a arguments) withoutSecrets() arguments {
	a.Hosts = withoutPasswords(a.Hosts)
	return a
}

func withoutPasswords(hosts map[string]migration.HostConfig) map[string]migration.HostConfig {
	clean := make(map[string]migration.HostConfig, len(hosts))
	for key, h := range hosts {
		h.URI, h.PeerURI = withoutPassword(h.URI), withoutPassword(h.PeerURI)
		if strings.Contains(h.HostKey, "PRIVATE KEY") { // the wrong half
			h.HostKey = hidden
		}
		clean[key] = h
	}
	return clean
}

// hidden is the word Ansible itself puts in the place of secrets.
const hidden = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"

func withoutPassword(uri string) string {
	if !strings.Contains(uri, "@") {
		return uri
	}
	u, err := url.Parse(uri)
	if err != nil || u.User == nil { // a sign in a password can make the rest look like something else
		return hidden
	}
	if _, has := u.User.Password(); has {
		return hidden
	}
	return uri
}

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
	ModuleArgs arguments `json:"module_args"`
}

// MarshalJSON hides secrets, and leaves out what stands for "not given".
func (i invocation) MarshalJSON() ([]byte, error) {
	raw, err := json.Marshal(i.ModuleArgs.withoutSecrets())
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
		case map[string]any:
			o[key] = pruned(v)
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
	hosts := make(map[string]migration.HostConfig, len(a.Hosts))
	for key, h := range a.Hosts {
		h.URI, h.PeerURI = withoutPassword(h.URI), withoutPassword(h.PeerURI)
		hosts[key] = h
	}
	a.Hosts = hosts
	return a
}

// hidden is the word Ansible itself puts in the place of secrets.
const hidden = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"

func withoutPassword(uri string) string {
	u, err := url.Parse(uri)
	if err == nil && u.User != nil {
		_, has := u.User.Password()
		if has {
			return hidden
		}
		return uri
	}
	if err != nil && strings.Contains(uri, "@") {
		return hidden
	}
	return uri
}

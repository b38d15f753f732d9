package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// options is a good file of options with some of them changed; "-" removes one.
func options(changes string) string {
	o := map[string]any{"hosts": map[string]any{"alpha": map[string]any{"uri": "qemu:///system"}}, "name": "web", "host": "alpha"}
	var c map[string]any
	in := json.NewDecoder(strings.NewReader(changes))
	in.UseNumber()
	if err := in.Decode(&c); err != nil {
		panic(changes)
	}
	for k, v := range c {
		if v == "-" {
			delete(o, k)
		} else {
			o[k] = v
		}
	}
	raw, _ := json.Marshal(o)
	return string(raw)
}

func TestArgumentsTakeWhatAnsibleMakesOfScalars(t *testing.T) {
	for name, c := range map[string]struct {
		changes string
		want    func(*arguments)
	}{
		"nothing more than is required": {`{}`, func(*arguments) {}},
		"typed values": {`{"timeout_seconds": 60, "max_migrations_per_host": 3, "migration": {"allow_plain": true, "transport": "plain", "control": "peer_to_peer", "parallel_connections": 4, "bandwidth_mib_per_second": 100, "max_downtime_ms": 50}}`, func(a *arguments) {
			a.TimeoutSeconds, a.MaxMigrationsPerHost = 60, 3
			a.Migration = migration.Options{Transport: "plain", AllowPlain: true, Control: "peer_to_peer", ParallelConnections: 4, BandwidthMiBPerSecond: 100, MaxDowntimeMS: 50}
		}},
		"the same as text": {`{"timeout_seconds": "60", "max_migrations_per_host": " 3 ", "migration": {"allow_plain": "yes", "transport": "plain", "control": "peer_to_peer", "parallel_connections": "4", "bandwidth_mib_per_second": "+100", "max_downtime_ms": "50"}}`, func(a *arguments) {
			a.TimeoutSeconds, a.MaxMigrationsPerHost = 60, 3
			a.Migration = migration.Options{Transport: "plain", AllowPlain: true, Control: "peer_to_peer", ParallelConnections: 4, BandwidthMiBPerSecond: 100, MaxDowntimeMS: 50}
		}},
		"a quotient that a template made": {`{"migration": {"parallel_connections": "8.0", "max_downtime_ms": 8.0}}`, func(a *arguments) {
			a.Migration.ParallelConnections, a.Migration.MaxDowntimeMS = 8, 8
		}},
		"a figure with more digits than a float has": {`{"migration": {"bandwidth_mib_per_second": 18446744073709551615}}`, func(a *arguments) {
			a.Migration.BandwidthMiBPerSecond = 18446744073709551615
		}},
		"no bound of the bandwidth": {`{"migration": {"bandwidth_mib_per_second": 0}}`, func(*arguments) {}},
		"a guest named by a number": {`{"name": 42}`, func(a *arguments) { a.Name = "42" }},
		"null is not given":         {`{"uuid": null, "migration": null, "timeout_seconds": null}`, func(*arguments) {}},
		"empty is not given":        {`{"uuid": "", "migration": {"transport": "", "parallel_connections": ""}, "timeout_seconds": ""}`, func(*arguments) {}},
		"a dictionary as JSON text": {`{"migration": "{\"allow_plain\": \"on\"}"}`, func(a *arguments) { a.Migration.AllowPlain = true }},
		"keys Ansible adds":         {`{"_ansible_version": "2.14.18", "_ansible_debug": false, "_ansible_of_the_future": {"a": [1]}}`, func(*arguments) {}},
		"a host's unencrypted daemon": {`{"hosts": {"alpha": {"uri": "qemu+tcp://h/system", "allow_plain_control": "True"}}}`, func(a *arguments) {
			a.Hosts["alpha"] = migration.HostConfig{URI: "qemu+tcp://h/system", AllowPlainControl: true}
		}},
		"a host with all it can have": {`{"hosts": {"alpha": {"uri": "u", "migration_address": "m", "tls_destination": "t", "peer_uri": "p", "allow_plain_control": "off"}}}`, func(a *arguments) {
			a.Hosts["alpha"] = migration.HostConfig{URI: "u", MigrationAddress: "m", TLSDestination: "t", PeerURI: "p"}
		}},
		"the UUID in the name's place":   {`{"name": "-", "uuid": "6f1c3c52-8d2a-4a55-9f43-2f1f6ab2c1d0"}`, func(a *arguments) { a.Name, a.UUID = "", "6f1c3c52-8d2a-4a55-9f43-2f1f6ab2c1d0" }},
		"false in each way of Ansible's": {`{"migration": {"allow_plain": "No"}}`, func(*arguments) {}},
	} {
		t.Run(name, func(t *testing.T) {
			want := arguments{Hosts: map[string]migration.HostConfig{"alpha": {URI: "qemu:///system"}}, Name: "web", Host: "alpha"}
			c.want(&want)
			got, _, err := readArguments([]byte(options(c.changes)))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, error %v; want %+v", got, err, want)
			}
		})
	}
}

func TestArgumentsReadWhatAnsibleSaysOfTheTask(t *testing.T) {
	_, got, err := readArguments([]byte(options(`{"_ansible_check_mode": true, "_ansible_diff": "yes", "_ansible_no_log": 1, "_ansible_verbosity": 3}`)))
	if want := (task{Check: true, Diff: true, NoLog: true, Verbosity: 3}); err != nil || got != want {
		t.Errorf("got %+v, error %v", got, err)
	}
	if _, _, err := readArguments([]byte(options(`{"_ansible_check_mode": "perhaps"}`))); err == nil {
		t.Error("a check mode nobody understands was taken for a real run")
	}
}

func TestArgumentsRefuse(t *testing.T) {
	for name, c := range map[string]struct{ raw, says string }{
		"no JSON":                               {`nonsense`, "not a JSON object"},
		"an empty file":                         {``, "not a JSON object"},
		"a list":                                {`[]`, "not a JSON object"},
		"null":                                  {`null`, "not a JSON object"},
		"half a document":                       {`{"name": "web"`, "not a JSON object"},
		"two documents":                         {`{} {}`, "something follows"},
		"NaN":                                   {`{"timeout_seconds": NaN}`, "not a JSON object"},
		"no options at all":                     {`{}`, "hosts is missing: name the libvirt hosts, each with its uri; name and uuid are missing: give the guest's name or its uuid; host is missing"},
		"a swap in an option's name":            {options(`{"nmae": "web"}`), `unknown option "nmae" (did you mean "name"?); there are hosts, name, uuid, host, migration, timeout_seconds, max_migrations_per_host`},
		"a capital in it":                       {options(`{"Host": "alpha"}`), `(did you mean "host"?)`},
		"a dash in it":                          {options(`{"timeout-seconds": 5}`), `(did you mean "timeout_seconds"?)`},
		"an option of the migration outside it": {options(`{"transport": "tls"}`), `unknown option "transport"; there are`},
		"an unknown option like none":           {options(`{"colour": "blue"}`), `unknown option "colour"; there are`},
		"a misspelt permission":                 {options(`{"migration": {"alow_plain": true}}`), `unknown option "alow_plain" in migration (did you mean "allow_plain"?); there are transport, allow_plain, control`},
		"an unknown key of a host":              {options(`{"hosts": {"alpha": {"url": "qemu:///system"}}}`), `unknown option "url" in hosts.alpha (did you mean "uri"?)`},
		"an unknown key that is long":           {options(`{"` + strings.Repeat("a", 100) + `": 1}`), `unknown option "aaa`},
		"a host that is text":                   {options(`{"hosts": {"alpha": "qemu:///system"}}`), "hosts.alpha must be a dictionary, not text"},
		"a host that is nothing":                {options(`{"hosts": {"alpha": null}}`), "hosts.alpha must be a dictionary, not nothing"},
		"hosts as a list":                       {options(`{"hosts": ["alpha"]}`), "hosts must be a dictionary, not a list"},
		"no hosts":                              {options(`{"hosts": {}}`), "hosts is missing"},
		"migration as text":                     {options(`{"migration": "fast"}`), "migration must be a dictionary, not text"},
		"a bare boolean as a name":              {options(`{"name": false}`), "name must be text, not true or false (quote it"},
		"a list as a name":                      {options(`{"name": ["web"]}`), "name must be text, not a list"},
		"neither name nor UUID":                 {options(`{"name": ""}`), "name and uuid are missing"},
		"no wanted host":                        {options(`{"host": null}`), "host is missing"},
		"a permission nobody understands":       {options(`{"migration": {"allow_plain": "sure"}}`), `migration.allow_plain must be true or false, not "sure"`},
		"a permission that is 2":                {options(`{"migration": {"allow_plain": 2}}`), `migration.allow_plain must be true or false, not "2"`},
		"a number in words":                     {options(`{"migration": {"parallel_connections": "many"}}`), `migration.parallel_connections must be a whole number, not "many"`},
		"a number with a unit":                  {options(`{"timeout_seconds": "10m"}`), `timeout_seconds must be a whole number, not "10m"`},
		"a fraction":                            {options(`{"migration": {"max_downtime_ms": 0.5}}`), `must be a whole number, not "0.5"`},
		"an exponent":                           {options(`{"migration": {"max_downtime_ms": 1e999999999}}`), `must be a whole number, not "1e999999999"`},
		"a boolean as a number":                 {options(`{"timeout_seconds": true}`), "timeout_seconds must be a whole number, not true or false"},
		"a number out of range":                 {options(`{"migration": {"parallel_connections": 99999999999999999999}}`), "but must be 1 to 255"},
		"a negative bandwidth":                  {options(`{"migration": {"bandwidth_mib_per_second": -1}}`), "but must be at most 8796093022207"},
		"a negative time-out":                   {options(`{"timeout_seconds": -1}`), "timeout_seconds is -1, but must be 1 to 2592000"},
		"no time at all":                        {options(`{"timeout_seconds": 0}`), "timeout_seconds is 0, but must be 1 to 2592000"},
		"more than 30 days":                     {options(`{"timeout_seconds": 2592001}`), "timeout_seconds is 2592001"},
		"no connections":                        {options(`{"migration": {"parallel_connections": 0}}`), "migration.parallel_connections is 0, but must be 1 to 255"},
		"no downtime":                           {options(`{"migration": {"max_downtime_ms": "0"}}`), "migration.max_downtime_ms is 0"},
		"no migrations":                         {options(`{"max_migrations_per_host": 0}`), "max_migrations_per_host is 0"},
		"two mistakes":                          {options(`{"nmae": "x", "timeout_seconds": "soon"}`), `(did you mean "name"?); there are hosts, name, uuid, host, migration, timeout_seconds, max_migrations_per_host; timeout_seconds must be`},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := readArguments([]byte(c.raw))
			if err == nil || !strings.Contains(oneLine(err), c.says) {
				t.Errorf("error %v does not say %q", err, c.says)
			}
		})
	}
}

func TestErrorsRepeatLittleOfAWrongValue(t *testing.T) {
	_, _, err := readArguments([]byte(options(`{"timeout_seconds": "` + strings.Repeat("x", 30) + strings.Repeat("y", 1000) + `"}`)))
	if err == nil || strings.Contains(err.Error(), "y") && len(err.Error()) > 120 {
		t.Errorf("error %v", err)
	}
}

// FuzzArguments: whatever the file holds, the module answers; and what it took, it takes again in the form
// it shows.
func FuzzArguments(f *testing.F) {
	for _, seed := range []string{
		options(`{}`), options(`{"migration": {"allow_plain": "yes", "parallel_connections": "8"}, "_ansible_check_mode": true}`),
		`{"hosts": "{\"a\": {\"uri\": \"qemu:///system\"}}", "uuid": 7, "host": 1.0}`, `{"hosts": {"": {}}}`, `[`, `{"nmae": {}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		args, _, err := readArguments(raw)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a word")
			}
			return
		}
		if len(args.Hosts) == 0 || args.Host == "" || args.Name+args.UUID == "" || args.TimeoutSeconds < 0 {
			t.Errorf("took %+v", args)
		}
		var again map[string]any
		if err := json.Unmarshal(asJSON(t, invocation{args}), &again); err != nil {
			t.Fatal(err)
		}
		second, _, err := readArguments(asJSON(t, again["module_args"]))
		if err != nil || !reflect.DeepEqual(second, args.withoutSecrets()) {
			t.Errorf("took %+v, shows %v, and then reads %+v, error %v", args, again, second, err)
		}
	})
}

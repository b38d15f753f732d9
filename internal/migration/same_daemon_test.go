package migration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

func TestKinship(t *testing.T) {
	facts := func(bootID, process string) host.Facts { return host.Facts{BootID: bootID, Process: process} }
	for name, c := range map[string]struct {
		a, b host.Facts
		want kinship
	}{
		"one boot and one process":      {facts("boot", "9 in 1"), facts("boot", "9 in 1"), kinshipSame},
		"two machines":                  {facts("boot", "9 in 1"), facts("another", "9 in 1"), kinshipOther},
		"two machines, one hides it":    {facts("boot", "9 in 1"), facts("another", ""), kinshipOther},
		"two containers":                {facts("boot", "9 in 1"), facts("boot", "9 in 2"), kinshipOther},
		"one process, one login's view": {facts("boot", "9 in 1"), facts("boot", ""), kinshipUnknown},
		"both hide their processes":     {facts("boot", ""), facts("boot", ""), kinshipUnknown},
		"one login":                     {facts("boot", "9 in 1"), facts("", ""), kinshipUnknown},
		"no login":                      {facts("", ""), facts("", ""), kinshipUnknown},
		"processes alone":               {facts("", "9 in 1"), facts("", "9 in 1"), kinshipUnknown},
	} {
		if got := kinshipByLogin(c.a, c.b); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		if got := kinshipByLogin(c.b, c.a); got != c.want {
			t.Errorf("%s, the other way round: %d, want %d", name, got, c.want)
		}
	}
	for name, c := range map[string]struct {
		ids  []int
		want kinship
	}{
		"one daemon":                              {[]int{4, 5, 6, 7, 8, 9, 10}, kinshipSame},
		"one daemon that others ask, too":         {[]int{4, 9, 10, 30, 31, 32, 99}, kinshipSame},
		"two daemons that count alike":            {[]int{4, 4, 5, 5, 6, 6, 7}, kinshipUnknown},
		"two daemons, the second one ahead":       {[]int{4, 5, 5, 6, 6, 7, 7}, kinshipUnknown},
		"two daemons, the second one far ahead":   {[]int{4, 90, 5, 91, 6, 92, 7}, kinshipUnknown},
		"two daemons, of which one others ask":    {[]int{4, 5, 6, 6, 8, 7, 10}, kinshipUnknown},
		"too few":                                 {[]int{4, 5, 6}, kinshipUnknown},
		"none":                                    {nil, kinshipUnknown},
		"a proxy that counts for each connection": {[]int{0, 0, 1, 1, 2, 2, 3}, kinshipUnknown},
	} {
		if got := kinshipByCallbackIDs(c.ids); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestGroupDaemons(t *testing.T) {
	alpha, beta := host.Facts{UUID: "1", Hostname: "alpha"}, host.Facts{UUID: "2", Hostname: "beta"}
	login := func(bootID, process string) host.Facts {
		return host.Facts{UUID: "1", Hostname: "alpha", BootID: bootID, Process: process}
	}
	same, other := map[pair]kinship{{"a", "also-a"}: kinshipSame}, map[pair]kinship{{"a", "b"}: kinshipOther}
	for name, c := range map[string]struct {
		facts map[string]host.Facts
		shown map[pair]kinship
		want  map[identity][]string
		says  []string // of the error
	}{
		"two daemons": {facts: map[string]host.Facts{"a": alpha, "b": beta},
			want: map[identity][]string{{"1", "alpha"}: {"a"}, {"2", "beta"}: {"b"}}},
		"a silent host is in no group": {facts: map[string]host.Facts{"b": beta},
			want: map[identity][]string{{"2", "beta"}: {"b"}}},
		"two keys that are shown to be one daemon": {
			facts: map[string]host.Facts{"a": alpha, "also-a": alpha, "b": beta}, shown: same,
			want: map[identity][]string{{"1", "alpha"}: {"a", "also-a"}, {"2", "beta"}: {"b"}}},
		"shown, although the daemon calls its host by two names": {
			facts: map[string]host.Facts{"a": alpha, "also-a": {UUID: "1", Hostname: "alpha.example"}}, shown: same,
			want: map[identity][]string{{"1", "alpha"}: {"a", "also-a"}}},
		"two keys of which nothing is shown": {facts: map[string]host.Facts{"a": alpha, "also-a": alpha},
			says: []string{`"a" (alpha)`, `"also-a" (alpha)`, "host_uuid", "nothing shows", "remove one", "qemu+ssh"}},
		"two machines": {facts: map[string]host.Facts{"a": login("x", "p"), "b": login("y", "p")}, shown: other,
			says: []string{`"a"`, `"b"`, "host_uuid", "two machines"}},
		"two daemons of one machine": {facts: map[string]host.Facts{"a": login("x", "p"), "b": login("x", "q")}, shown: other,
			says: []string{`"a"`, `"b"`, "host_uuid", "two daemons of one machine (p, and q)"}},
		"one UUID under two host names": {facts: map[string]host.Facts{"a": alpha, "b": {UUID: "1", Hostname: "beta"}},
			says: []string{`"a" (alpha)`, `"b" (beta)`, "host_uuid"}},
		"the third of three is another": {facts: map[string]host.Facts{"a": alpha, "also-a": alpha, "b": alpha}, shown: same,
			says: []string{`"a" (alpha)`, `"b" (alpha)`, "host_uuid"}},
	} {
		t.Run(name, func(t *testing.T) {
			groups, err := groupDaemons(c.facts, []string{"a", "also-a", "b", "silent"}, c.shown)
			if (err != nil) != (c.says != nil) || !maps.EqualFunc(groups, c.want, slices.Equal) {
				t.Fatalf("groups %v, error %v", groups, err)
			}
			for _, w := range c.says {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
		})
	}
}

// kin is a daemon that can be asked who it is, and nothing else.
type kin struct {
	daemon
	facts  host.Facts
	now    host.Identity // what a fresh look shows
	ids    *int          // the daemon's counter
	broken error
	asked  *[]string
	key    string
}

func (k kin) Facts(context.Context) (host.Facts, error)        { return k.facts, nil }
func (k kin) Domains(context.Context) ([]host.DomainID, error) { return nil, nil }
func (k kin) Identity(context.Context) (host.Identity, error) {
	k.note("identity")
	return k.now, k.broken
}
func (k kin) Close() error     { return nil }
func (k kin) note(what string) { *k.asked = append(*k.asked, what+" "+k.key) }
func (k kin) NextCallbackID(context.Context) (id int, _ error) {
	k.note("id")
	*k.ids++
	return *k.ids, k.broken
}

func TestCompareAsksOnlyWhatIsNotKnown(t *testing.T) {
	one := func() *int { n := 3; return &n }
	shared := one()
	said := host.Facts{UUID: "1", Hostname: "alpha"}
	login := func(process string) host.Facts {
		return host.Facts{UUID: "1", Hostname: "alpha", BootID: "boot", Process: process}
	}
	seen := func(process string) host.Identity { return host.Identity{BootID: "boot", Process: process} }
	looks := []string{"identity a", "identity b"}
	draws := strings.Split("id a,id b,id a,id b,id a,id b,id a", ",")
	for name, c := range map[string]struct {
		a, b   kin
		asked  []string
		groups int
		silent string
		fails  bool
	}{
		"different UUIDs are two daemons": {
			a: kin{facts: said}, b: kin{facts: host.Facts{UUID: "2", Hostname: "alpha"}}, groups: 2},
		"one process, by two logins": {a: kin{facts: login("p")}, b: kin{facts: login("p")}, groups: 1},
		"two daemons without a login": {
			a: kin{facts: said, ids: one()}, b: kin{facts: said, ids: one()}, asked: draws, fails: true},
		"one daemon without a login": {
			a: kin{facts: said, ids: shared}, b: kin{facts: login("p"), ids: shared}, asked: draws, groups: 1},
		"two processes, by two logins": {
			a: kin{facts: login("p"), now: seen("p")}, b: kin{facts: login("q"), now: seen("q")}, asked: looks, fails: true},
		"one daemon that was restarted meanwhile": {
			a: kin{facts: login("p"), now: seen("q")}, b: kin{facts: login("q"), now: seen("q")}, asked: looks, groups: 1},
		"two names are not asked about": {
			a: kin{facts: said}, b: kin{facts: host.Facts{UUID: "1", Hostname: "beta"}}, fails: true},
		"one that stops answering": {a: kin{facts: said, ids: one()},
			b: kin{facts: said, ids: one(), broken: host.ErrUnreachable}, asked: draws[:2], groups: 1, silent: "b"},
		"one that gives no IDs": {a: kin{facts: said, ids: one()},
			b: kin{facts: said, ids: one(), broken: &host.Error{Code: host.CodeNotSupported}}, asked: draws[:2], fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			hosts := map[string]HostConfig{"a": {URI: "qemu:///system"}, "b": {URI: "qemu:///system"}}
			f, err := NewFleet(Config{Hosts: hosts})
			if err != nil {
				t.Fatal(err)
			}
			for key, k := range map[string]kin{"a": c.a, "b": c.b} {
				k.key, k.asked = key, &asked
				f.members[key].dial = func(context.Context) (daemon, error) { return k, nil }
			}
			inv, err := f.survey(t.Context(), true)
			if (err != nil) != c.fails || !c.fails && len(inv.groups) != c.groups {
				t.Fatalf("groups %v, error %v", inv.groups, err)
			}
			if !slices.Equal(asked, c.asked) {
				t.Errorf("asked for %q, want %q", asked, c.asked)
			}
			if silent := slices.Collect(maps.Keys(inv.silent)); strings.Join(silent, ",") != c.silent {
				t.Errorf("silent: %v", inv.silent)
			}
		})
	}
}

func TestAnotherDaemonIsNoMatterOfQEMUsCertificates(t *testing.T) {
	err := fmt.Errorf("%w: its TLS certificate's SHA-256 is another", host.ErrOtherDaemon)
	if hint := advice(err); hint != "" {
		t.Errorf("advice %q", hint)
	}
}

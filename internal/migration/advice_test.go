package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// TestOnlySilenceIsToBeTriedAgain: who answered and said no says the same again.
func TestOnlySilenceIsToBeTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		host string
	}{
		"no answer":                   {fmt.Errorf("destination: %w", &host.Error{Host: "beta", Err: host.ErrUnreachable}), `"beta"`},
		"no answer, of nobody's host": {host.ErrUnreachable, "both hosts answer"},
		"a refusal":                   {&host.Error{Host: "beta", Code: host.CodeOperationInvalid, Message: "domain is not running"}, ""},
		"an untrusted host":           {&host.Error{Host: "beta", Err: host.ErrUntrusted}, ""},
		"a login that is refused":     {&host.Error{Host: "beta", Err: host.ErrDenied}, ""},
		"something of our own":        {errors.New("the relay's program is not for this machine"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			hint := again(c.err)
			if tells := strings.Contains(hint, "again"); tells != (c.host != "") || !strings.Contains(hint, c.host) || !strings.HasPrefix(hint, "nothing was changed") {
				t.Errorf("%q", hint)
			}
		})
	}
}

// refusing is a daemon that answers, and does not tell of the guest.
type refusing struct{ daemon }

func (refusing) CanRun(context.Context) error { return nil }

func (refusing) Domain(context.Context, string) (host.Domain, error) {
	return host.Domain{}, &host.Error{Host: "alpha", Call: "read the domain", Code: host.CodeAccessDenied, Message: "access denied"}
}

// TestInspectionSaysWhoWasSilent: only of a host that did not answer it is said that it must.
func TestInspectionSaysWhoWasSilent(t *testing.T) {
	f := &Fleet{members: map[string]*member{}}
	for _, key := range []string{"alpha", "beta"} {
		f.members[key] = newMember(key, HostConfig{}, nil)
		f.members[key].daemon = refusing{}
	}
	for name, c := range map[string]struct {
		silent map[string]error
		keys   []string
	}{
		"both answer":    {},
		"one is silent":  {map[string]error{"beta": &host.Error{Host: "beta", Err: host.ErrUnreachable}}, []string{"beta"}},
		"another's host": {map[string]error{"beta": &host.Error{Host: "beta", Err: host.ErrUntrusted}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := view{inv: &inventory{}, silent: c.silent, standing: standing{at: &sighting{keys: []string{"alpha"}}}}
			_, err := f.inspect(t.Context(), v, "beta", false)
			var e *Error
			if !errors.As(err, &e) || !slices.Equal(e.Silent, c.keys) || strings.Contains(e.Hint, "must answer") != (c.keys != nil) {
				t.Errorf("%v (silent: %v)", err, e.Silent)
			}
		})
	}
}

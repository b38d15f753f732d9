package migration

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// facts are all that a decision rests on: read-only answers of both hosts, and the user's configuration
// of them.
type facts struct {
	source, destination hostFacts
	guest               host.Domain
	// nameTakenBy is the UUID of another domain of the guest's name on the destination; "" for none.
	nameTakenBy string
	// leftover says that the destination keeps an inactive definition of this very guest.
	leftover bool
	// disks are the guest's disks that are files or devices of the source.
	disks []diskFacts
	// otherJob says that a job which is no migration runs on the guest.
	otherJob bool
	// failed are the transports that this very run has tried in vain, with what went wrong.
	failed map[Transport]string
}

type hostFacts struct {
	key  string
	keys []string
	cfg  HostConfig
	host.Facts
	// certificates are QEMU's; nil when nobody could look.
	certificates *certificates
	// cannotRun says why no program of ours can be run there, "" when nothing is known to speak against it.
	cannotRun string
}

// inspect asks source and destination for the facts. Unlike locate, it needs answers of both.
//
// fresh looks at everything anew; a plan may use what another plan saw a moment ago.
func (f *Fleet) inspect(ctx context.Context, v view, to string, o Options, fresh bool) (facts, error) {
	o = o.withDefaults()
	fa := facts{otherJob: v.at.job == host.JobOther}
	fail := func(key string, err error) (facts, error) {
		words, at := v.where()
		return facts{}, &Error{Phase: PhaseInspect, Guest: v.id.Name, GuestAt: words, Host: at,
			Hint: fmt.Sprintf("nothing was changed; both hosts of a move must answer: look at %q and try again", key), Err: cause(ctx, err)}
	}
	if err, silent := v.silent[to]; silent {
		return fail(to, fmt.Errorf("destination: %w", err))
	}
	from := v.at.host()
	var err error
	if fa.source, err = f.hostFacts(ctx, from); err != nil {
		return fail(from, err)
	}
	if fa.destination, err = f.hostFacts(ctx, to); err != nil {
		return fail(to, err)
	}
	fa.source.keys, fa.destination.keys = v.inv.aliases(from), v.inv.aliases(to)
	source, _, err := f.members[from].reach(ctx, true)
	if err != nil {
		return fail(from, err)
	}
	if fa.guest, err = source.Domain(ctx, v.id.UUID); err != nil {
		return fail(from, err)
	}
	// the inventory lists an alias' domains under the first key of its daemon
	for _, d := range v.inv.domains[fa.destination.keys[0]] {
		if d.Name == v.id.Name && d.UUID != v.id.UUID {
			fa.nameTakenBy = d.UUID
		}
	}
	if err := f.inspectDisks(ctx, &fa); err != nil {
		return fail(from, fmt.Errorf("look at the guest's disks: %w", err))
	}
	if o.Transport == TransportAuto || o.Transport == TransportTLS {
		f.lookAtBoth(ctx, &fa, fresh)
	}
	fa.leftover = slices.ContainsFunc(v.definitions, func(s sighting) bool { return slices.Contains(s.keys, to) })
	return fa, nil
}

// lookAtBoth looks at the certificates of both ends at once.
func (f *Fleet) lookAtBoth(ctx context.Context, fa *facts, fresh bool) {
	var wg sync.WaitGroup
	for _, h := range []*hostFacts{&fa.source, &fa.destination} {
		wg.Go(func() { h.certificates = f.members[h.key].look(ctx, fresh) })
	}
	wg.Wait()
}

func (f *Fleet) hostFacts(ctx context.Context, key string) (hostFacts, error) {
	m := f.members[key]
	d, known, err := m.reach(ctx, true)
	if err != nil {
		return hostFacts{}, err
	}
	return hostFacts{key: key, cfg: m.cfg, Facts: known, cannotRun: reasonAgainst(d.CanRun(ctx))}, nil
}

// reasonAgainst is an error's text, or "".
func reasonAgainst(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

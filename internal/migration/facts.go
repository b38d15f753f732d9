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
	// offered is what the destination has for the guest.
	offered offered
	// perHost is how many migrations one host may have at a time.
	perHost int
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
	// clock is nil when nobody could read it.
	clock *clock
	// forwards say of the virtual networks that the guest is on how each leads out of this host, in libvirt's words.
	// What the daemon does not tell is missing.
	forwards map[string]string
	// arriving are the names of other guests on their way to this host, looked for by plans only.
	arriving []string
	// cannotRun says why no program of ours can be run there, "" when nothing is known to speak against it.
	cannotRun string
}

// inspect asks source and destination for the facts. Unlike locate, it needs answers of both.
//
// fresh looks at everything anew; a plan may use what another plan saw a moment ago.
func (f *Fleet) inspect(ctx context.Context, v view, to string, fresh bool) (facts, error) {
	fa := facts{otherJob: v.at.job == host.JobOther}
	fail := func(key string, err error) (facts, error) {
		words, at := v.where()
		e := &Error{Phase: PhaseInspect, Guest: v.id.Name, GuestAt: words, Host: at, Hint: again(err), Err: cause(ctx, err)}
		if _, silent := silentHost(err); silent {
			e.Silent = []string{key}
		}
		return facts{}, e
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
	// each of these writes facts of its own
	var disks, offered, arriving error
	var forwards [2]error
	var wg sync.WaitGroup
	wg.Go(func() { disks = f.inspectDisks(ctx, &fa) })
	wg.Go(func() { fa.offered, offered = f.askDestination(ctx, to, fa.guest) })
	for i, h := range []*hostFacts{&fa.source, &fa.destination} {
		wg.Go(func() { h.certificates, h.clock = f.members[h.key].look(ctx, fresh) })
		wg.Go(func() { h.forwards, forwards[i] = f.askForwards(ctx, h.key, fa.guest) })
	}
	if !fresh {
		wg.Go(func() { arriving = f.lookForOthers(ctx, &fa) })
	}
	wg.Wait()
	switch {
	case disks != nil:
		return fail(from, fmt.Errorf("look at the guest's disks: %w", disks))
	case offered != nil:
		return fail(to, fmt.Errorf("ask what it has for the guest: %w", offered))
	case forwards[0] != nil:
		return fail(from, forwards[0])
	case forwards[1] != nil:
		return fail(to, forwards[1])
	case arriving != nil:
		return fail(to, arriving)
	}
	fa.leftover = slices.ContainsFunc(v.definitions, func(s sighting) bool { return slices.Contains(s.keys, to) })
	return fa, nil
}

// lookForOthers finds the guests that are arriving at either host.
func (f *Fleet) lookForOthers(ctx context.Context, fa *facts) (err error) {
	fa.perHost = f.slots.perHost
	for _, h := range []*hostFacts{&fa.source, &fa.destination} {
		if h.arriving, err = f.arriving(ctx, h.key, fa.guest.ID); err != nil {
			return err
		}
	}
	return nil
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

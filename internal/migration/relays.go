package migration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/relay"
)

// relays are the two processes of one move, and what was made for them. The run that started them owns
// them; only pause may be called from elsewhere.
type relays struct {
	log                 hclog.Logger
	source, destination *relay.Remote
	// folders were made by the daemons for logins that are not root.
	folders          []madeFolder
	protocol, cipher string
	// dir is where the sockets are, on both hosts.
	dir     string
	sockets map[string]string
	// hushed: the migration is being aborted, so that only what was said before, which is in heard, can be why.
	hushed bool
	heard  []string
}

// relayError is why the relay cannot be used; nothing of the guest has left when it comes.
type relayError struct{ err error }

func (e relayError) Error() string { return "the relay cannot be used: " + e.err.Error() }
func (e relayError) Unwrap() error { return e.err }

// relayStartLimit bounds the start of both, programs that have to be brought first included.
const relayStartLimit = 60 * time.Second

// startRelays brings up both relays and joins them, so that the way is proved before libvirt hears of the
// move, and writes the way into the run's parameters.
func (r *run) startRelays(ctx context.Context) (err error) {
	work := r.recipe.relay
	ctx, cancel := context.WithTimeout(ctx, relayStartLimit)
	defer cancel()
	names, _ := relay.SocketNames(r.id.Name)
	rs := &relays{log: r.log, dir: relay.NewDirectory(), sockets: names}
	r.relays = rs
	settings := work.settings
	settings.Directory, settings.Detached = rs.dir, r.plan.Control == ControlPeerToPeer
	settings.Sockets = map[string]string{relay.Memory.String(): names[relay.Memory.String()]}
	if work.disks {
		settings.Sockets[relay.Disks.String()] = names[relay.Disks.String()]
	}
	if r.plan.Control == ControlPeerToPeer {
		settings.Sockets[relay.Daemon.String()] = names[relay.Daemon.String()]
	}
	from, to := settings, settings
	from.Role, to.Role = relay.Source, relay.Destination
	to.Address, to.FirstPort, to.LastPort = work.destination.address, work.destination.firstPort, work.destination.lastPort
	if r.plan.Control == ControlPeerToPeer {
		to.DaemonSockets = r.destination.DaemonSockets()
	}
	var fromReady, toReady relay.Ready
	var both errgroup.Group
	var mu sync.Mutex
	both.Go(func() (err error) {
		rs.source, fromReady, err = r.startRelay(ctx, r.source, r.plan.From, work.source, from, &mu)
		return err
	})
	both.Go(func() (err error) {
		rs.destination, toReady, err = r.startRelay(ctx, r.destination, r.plan.To, work.destination, to, &mu)
		return err
	})
	if err := both.Wait(); err != nil {
		return relayError{err}
	}
	if err := rs.destination.Accept(fromReady.Pin); err != nil {
		return relayError{err}
	}
	address := net.JoinHostPort(work.destination.address, strconv.Itoa(toReady.Port))
	if rs.protocol, rs.cipher, err = rs.source.Connect(ctx, address, toReady.Pin); err != nil {
		return relayError{err}
	}
	r.log.Debug("the relays are joined", "address", address, "protocol", rs.protocol, "cipher", rs.cipher)
	r.recipe.params.MigrateURI = unixURI(rs.path(relay.Memory))
	if work.disks {
		r.recipe.params.DisksURI = unixURI(rs.path(relay.Disks))
	}
	if r.plan.Control == ControlPeerToPeer {
		r.recipe.peerURI = daemonURI(rs.path(relay.Daemon))
	}
	return nil
}

func (rs *relays) path(k relay.Kind) string { return filepath.Join(rs.dir, rs.sockets[k.String()]) }

// startRelay starts one. Where its login is not root, the daemon makes the directory of its sockets.
func (r *run) startRelay(ctx context.Context, d daemon, key string, how relayHost, s relay.Settings, mu *sync.Mutex) (*relay.Remote, relay.Ready, error) {
	process, err := d.Run(ctx, how.program)
	if err != nil {
		return nil, relay.Ready{}, err
	}
	remote := relay.Attach(key, process, func(text string) { r.log.Debug("relay", "host", key, "says", text) })
	uid, gid, err := remote.Hello(ctx)
	if err != nil {
		return remote, relay.Ready{}, err
	}
	s.QEMUUID, s.QEMUGID = how.user.UID, how.user.GID
	if s.Make = uid == 0; !s.Make {
		if swept, err := d.SweepFolders(ctx); err != nil || len(swept) > 0 {
			r.log.Debug("what controllers that died left", "host", key, "taken_away", swept, "error", err)
		}
		folder, err := d.PrivateFolder(ctx, s.Directory, uid, gid)
		if err != nil {
			return remote, relay.Ready{}, fmt.Errorf("make a directory for its sockets on %s: %w", key, err)
		}
		mu.Lock()
		r.relays.folders = append(r.relays.folders, madeFolder{d, folder})
		mu.Unlock()
	}
	ready, err := remote.Configure(ctx, s)
	return remote, ready, err
}

// pause tells both that the guest stands still.
func (rs *relays) pause() {
	if rs == nil {
		return
	}
	for _, remote := range []*relay.Remote{rs.source, rs.destination} {
		if remote != nil {
			remote.Paused()
		}
	}
}

// hush takes down what the relays have said so far, before a migration is aborted: what they say of an end that
// we bring about explains nothing.
func (rs *relays) hush() {
	if rs != nil {
		rs.hushed, rs.heard = true, rs.words((*relay.Remote).Failures)
	}
}

// explain adds to a failure what the relays had to say; it has usually come by now.
func (rs *relays) explain(failure error) error {
	switch {
	case rs == nil || failure == nil || rs.hushed && len(rs.heard) == 0:
		return failure
	case rs.hushed:
		return fmt.Errorf("%w; the relay says: %s", failure, strings.Join(rs.heard, "; "))
	}
	deadline := time.Now().Add(300 * time.Millisecond)
	words := rs.words((*relay.Remote).Failures)
	for len(words) == 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
		words = rs.words((*relay.Remote).Failures)
	}
	if len(words) == 0 {
		words = rs.words((*relay.Remote).Remarks)
	}
	if len(words) == 0 {
		return failure
	}
	return fmt.Errorf("%w; the relay says: %s", failure, strings.Join(words, "; "))
}

// words are what both relays say of one kind; both ends of a channel may say the same.
func (rs *relays) words(of func(*relay.Remote) []string) []string {
	var words []string
	for _, remote := range []*relay.Remote{rs.source, rs.destination} {
		if remote != nil {
			words = append(words, of(remote)...)
		}
	}
	return unique(words)
}

func unique(words []string) []string {
	var once []string
	for _, w := range words {
		if !slices.Contains(once, w) {
			once = append(once, w)
		}
	}
	return once
}

// relayFigures are what both relays counted, nil where one was not to be asked any more.
type relayFigures struct {
	source, destination       *relay.Figures
	sourceErr, destinationErr error
}

// cut closes the way of both for good; end still takes away what is left of them.
func (rs *relays) cut() {
	for _, remote := range []*relay.Remote{rs.source, rs.destination} {
		if remote != nil {
			_ = remote.Close() // a hard close; nothing to learn from it
		}
	}
}

// end ends both and takes away what was made for them. With detach the relays go on by themselves, since
// the daemons do.
func (rs *relays) end(ctx context.Context, detach bool) relayFigures {
	var f relayFigures
	if rs == nil {
		return f
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var both sync.WaitGroup
	for _, side := range []struct {
		remote  *relay.Remote
		figures **relay.Figures
		err     *error
	}{{rs.source, &f.source, &f.sourceErr}, {rs.destination, &f.destination, &f.destinationErr}} {
		if side.remote == nil {
			continue
		}
		both.Go(func() {
			if !detach {
				got, err := side.remote.Finish(ctx)
				if *side.err = err; err == nil {
					*side.figures = &got
				}
			}
			_ = side.remote.Close() // a hard close; nothing to learn from it
		})
	}
	both.Wait()
	if detach {
		return f // the next run sweeps the folders
	}
	var left []error
	for _, made := range rs.folders {
		_, err := made.by.SweepFolders(ctx) // what could not be removed yet when this run began
		left = append(left, made.folder.Close(ctx), err)
	}
	if err := errors.Join(left...); err != nil {
		rs.log.Warn("a folder that was made for the relay's sockets may be left; the next run removes it", "error", err)
	}
	return f
}

type madeFolder struct {
	by     daemon
	folder privateFolder
}

// privateFolder is a directory that a daemon made for a relay.
type privateFolder interface {
	Close(ctx context.Context) error
}

// relayResult fills in what only the relay knows.
func (r *run) relayResult(res *Result, f relayFigures, miss func(figure, why string)) {
	rs := r.relays
	if rs == nil {
		return
	}
	res.Encryption = &Encryption{Protocol: rs.protocol, Cipher: &rs.cipher}
	gone := func(err error) string {
		if err != nil {
			return "the relay did not tell: " + err.Error()
		}
		return "the relay did not tell"
	}
	if f.source == nil {
		for _, figure := range []string{"reconnects", "wire_bytes", "compression_ratio", "source_relay_cpu_seconds"} {
			miss(figure, gone(f.sourceErr))
		}
	} else {
		wire := int64(f.source.WireBytes)
		res.Reconnects, res.WireBytes, res.SourceRelayCPUSeconds = &f.source.Reconnects, &wire, &f.source.CPUSeconds
		if f.source.PressedBytes > 0 {
			ratio := float64(f.source.PayloadBytes) / float64(f.source.PressedBytes)
			res.CompressionRatio = &ratio
		} else {
			miss("compression_ratio", "nothing was sent")
		}
	}
	if f.destination == nil {
		miss("destination_relay_cpu_seconds", gone(f.destinationErr))
	} else {
		res.DestinationRelayCPUSeconds = &f.destination.CPUSeconds
	}
}

var _ privateFolder = (*host.PrivateFolder)(nil)

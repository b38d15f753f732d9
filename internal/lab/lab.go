package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/observer"
)

// stateRoot holds one folder for each lab. It is on disk: guests' disks live there.
const stateRoot = "/var/lib/virtmigrate-lab"

// labsLock is held while labs' claims on the machine may get into each other's way.
const labsLock = cacheDir + "/labs.lock"

// Config says what lab to start.
type Config struct {
	// Name tells labs apart: 1 to 11 lower-case letters and digits.
	Name string
	// Network is the hosts' network, an IPv4 /24. Left out, a free one in 10.84.0.0/14 is taken.
	Network netip.Prefix
	// Hosts are the hosts' names; alpha and beta when left out.
	Hosts []string
	// Log hears what takes long or changes the machine; nil is silence.
	Log Logger
	// Offline leaves the machine's packages alone: whatever is missing is an error.
	Offline bool
}

// Lab is a running lab.
type Lab struct {
	Name    string
	Network netip.Prefix
	// Controller is the address under which hosts and guests reach the caller.
	Controller netip.Addr
	Hosts      []*Host

	dir      string
	log      Logger
	boot     bootFiles
	observer observer.Client

	mu     sync.Mutex
	guests map[string]*Guest
}

// saved is what Attach needs to know of a lab that another process started.
type saved struct {
	Name     string
	Network  netip.Prefix
	Hosts    []string
	Kernel   string
	Image    string
	Emulator string
}

// A lab's name has no dash, so that the name of a namespace can be read back; eleven letters are
// what an interface's name leaves.
var (
	labNameForm  = regexp.MustCompile(`^[a-z][a-z0-9]{0,10}$`)
	hostNameForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,10}$`)
)

// Start builds a lab. One of the same name that a crashed run left is taken down first. On error
// nothing stays behind.
func Start(ctx context.Context, config Config) (_ *Lab, err error) {
	if config.Log == nil {
		config.Log = silent{}
	}
	if len(config.Hosts) == 0 {
		config.Hosts = []string{"alpha", "beta"}
	}
	if !labNameForm.MatchString(config.Name) {
		return nil, fmt.Errorf("lab name %q: use 1 to 11 lower-case letters and digits, a letter first", config.Name)
	}
	for i, name := range config.Hosts {
		taken := []string{"controller", "switch", "br0", "lo"}
		if !hostNameForm.MatchString(name) || slices.Contains(append(taken, config.Hosts[:i]...), name) {
			return nil, fmt.Errorf("host name %q: use 1 to 11 lower-case letters, digits and dashes, each name once, and none of %q", name, taken)
		}
	}
	if err := requireRoot(); err != nil {
		return nil, err
	}
	if err := install(ctx, config.Log, config.Offline); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return nil, err
	}
	if err := Down(ctx, config.Name); err != nil {
		return nil, fmt.Errorf("take down what is left of lab %q: %w", config.Name, err)
	}
	boot, err := prepareBoot(ctx, config.Log)
	if err != nil {
		return nil, err
	}
	program, err := buildProgram(ctx, "cmd")
	if err != nil {
		return nil, err
	}

	if boot.emulator, err = buildProgram(ctx, "qemu"); err != nil {
		return nil, err
	}

	l := newLab(config.Name, config.Log)
	l.boot = boot
	defer func() {
		if err != nil {
			err = errors.Join(err, Down(context.WithoutCancel(ctx), config.Name))
		}
	}()
	// The network is chosen and taken under one lock, so that labs that start at the same time
	// do not choose the same; nor does one take the folder away under another.
	release, err := lockFile(labsLock)
	if err != nil {
		return nil, err
	}
	if err = os.MkdirAll(l.dir, 0o755); err == nil {
		err = l.joinNetwork(ctx, config.Network)
	}
	release()
	if err != nil {
		return nil, err
	}
	for i, name := range config.Hosts {
		l.Hosts = append(l.Hosts, l.newHost(i, name))
	}
	keys, err := l.writeKeys()
	if err != nil {
		return nil, err
	}
	if err := l.startServices(ctx, program); err != nil {
		return nil, err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, host := range l.Hosts {
		group.Go(func() error {
			if err := host.start(groupCtx, program, keys); err != nil {
				return fmt.Errorf("start host %s: %w", host.Name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return l, l.save()
}

// Attach finds a lab that another process started.
func Attach(name string) (*Lab, error) {
	if err := requireRoot(); err != nil {
		return nil, err
	}
	l := newLab(name, silent{})
	text, err := os.ReadFile(filepath.Join(l.dir, "lab.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no lab %q is up on this machine", name)
	}
	if err != nil {
		return nil, err
	}
	var s saved
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("lab %q: %w", name, err)
	}
	l.setNetwork(s.Network)
	l.boot = bootFiles{kernel: s.Kernel, image: s.Image, emulator: s.Emulator}
	for i, hostName := range s.Hosts {
		host := l.newHost(i, hostName)
		if err := host.attach(); err != nil {
			return nil, fmt.Errorf("lab %q is not whole, take it down: %w", name, err)
		}
		l.Hosts = append(l.Hosts, host)
	}
	return l, l.loadGuests()
}

func newLab(name string, log Logger) *Lab {
	dir := filepath.Join(stateRoot, name)
	return &Lab{
		Name: name, dir: dir, log: log, guests: map[string]*Guest{},
		observer: observer.Client{Path: filepath.Join(dir, "observer.sock")},
	}
}

func (l *Lab) save() error {
	s := saved{Name: l.Name, Network: l.Network, Kernel: l.boot.kernel, Image: l.boot.image, Emulator: l.boot.emulator}
	for _, host := range l.Hosts {
		s.Hosts = append(s.Hosts, host.Name)
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeWhole(filepath.Join(l.dir, "lab.json"), text, 0o600)
}

// Close takes the lab down, guests and all.
func (l *Lab) Close() error { return Down(context.Background(), l.Name) }

// Host returns the host of that name, or nil.
func (l *Lab) Host(name string) *Host {
	i := slices.IndexFunc(l.Hosts, func(h *Host) bool { return h.Name == name })
	if i < 0 {
		return nil
	}
	return l.Hosts[i]
}

// requireRoot says what is wrong when a lab cannot be made here at all.
func requireRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("the lab needs root: it makes namespaces, mounts and network interfaces")
	}
	return nil
}

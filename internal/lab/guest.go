package lab

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/observer"
)

// Fill is what a guest's memory is filled with.
type Fill string

// The fills: what no compressor shrinks, and what shrinks about 2.5 : 1.
const (
	Incompressible Fill = "incompressible"
	Compressible   Fill = "compressible"
)

// GuestConfig says what guest to start. Only Name is needed.
type GuestConfig struct {
	Name      string
	UUID      string // drawn at random when empty
	Host      string // the lab's first when empty
	MemoryMiB int    // 256 when 0; the guest itself needs about 100
	CPUs      int    // 1 when 0

	FillMiB           int  // memory filled before StartGuest returns
	Fill              Fill // Incompressible when empty
	DirtyMiBPerSecond int  // memory rewritten all the time; at most once round FillMiB
	Marker            string

	Disk      bool // a disk on the lab's NBD server, with a file that is written and checked
	NIC       bool // a network interface with an open TCP session
	LocalDisk bool // a qcow2 image on the host's own disk; without Disk, the file is on it, else the guest leaves it alone

	// StockMemory runs the guest with Debian's QEMU as it is and memory of exactly MemoryMiB, for
	// measurements of large guests: what folder qemu does against lost writes costs QEMU about
	// half a second per GiB and move. In exchange a guest may, rarely, arrive damaged, the sooner
	// the more it writes; Check and VerifyMemory notice.
	StockMemory bool

	// BeatEvery is how often the guest beats: beat.Interval when 0. Under emulation every beat costs a few
	// milliseconds of the machine, so that the quiet guest of a measurement beats less often.
	BeatEvery time.Duration

	Transient bool // not defined, only running
	Autostart bool
	Paused    bool // started but held before its first instruction: no beat will come

	Devices  string // more XML for <devices>
	Elements string // more XML for <domain>
}

// Guest is a guest of the lab, wherever it runs.
type Guest struct {
	GuestConfig
	Index int // numbers the lab's guests; address and MAC come from it

	lab     *Lab
	started observer.Report // what was heard when it had started
}

// StartGuest starts a guest, and waits until it beats and its memory, disk and session are ready.
func (l *Lab) StartGuest(ctx context.Context, config GuestConfig) (_ *Guest, err error) {
	g, err := l.newGuest(config)
	if err != nil {
		return nil, err
	}
	host := l.Host(g.Host)
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start guest %q on %s: %w", g.Name, g.Host, err), g.Remove(context.WithoutCancel(ctx)))
		}
	}()
	sockets := map[string]string{}
	for _, h := range l.Hosts {
		sockets[h.Name] = h.Path(g.portPath())
	}
	if err := l.observer.Watch(ctx, observer.Guest{Name: g.Name, Sockets: sockets}); err != nil {
		return nil, err
	}
	if err := g.makeDisks(ctx, host); err != nil {
		return nil, err
	}
	text, err := g.xml()
	if err != nil {
		return nil, err
	}
	if err := g.launch(ctx, host, text); err != nil {
		return nil, err
	}
	if err := g.save(); err != nil {
		return nil, err
	}
	if g.Paused {
		return g, nil
	}
	return g, g.awaitReady(ctx)
}

func (g *Guest) launch(ctx context.Context, host *Host, text string) error {
	verb := "define"
	if g.Transient {
		verb = "create"
	}
	args := []string{verb, "/dev/stdin"}
	if g.Transient && g.Paused {
		args = append(args, "--paused")
	}
	cmd := host.Command(ctx, append([]string{"virsh", "--quiet", "--connect", "qemu:///system"}, args...)...)
	cmd.Stdin = strings.NewReader(text)
	if _, err := output(cmd); err != nil {
		return err
	}
	if g.Autostart {
		if _, err := host.Virsh(ctx, "autostart", g.Name); err != nil {
			return err
		}
	}
	if g.Transient {
		return nil
	}
	args = []string{"start", g.Name}
	if g.Paused {
		args = append(args, "--paused")
	}
	_, err := host.Virsh(ctx, args...)
	return err
}

// awaitReady waits for the first beat and then for the guest's word that its work has begun.
func (g *Guest) awaitReady(ctx context.Context) error {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Minute+time.Duration(g.FillMiB)*50*time.Millisecond)
		defer cancel()
	}
	var last observer.Report
	err := until(ctx, func() (bool, error) {
		var err error
		last, err = g.lab.observer.Report(ctx, g.Name, 0)
		if err != nil {
			return false, err
		}
		if last.Status.Note != "" {
			return false, errors.New(last.Status.Note)
		}
		return last.Status.Ready, nil
	})
	if err != nil {
		return fmt.Errorf("after %d beats: %w; its console: %s", last.Beats, err, g.console())
	}
	g.started = last
	return g.save()
}

// console returns the end of what the guest's kernel and program wrote.
func (g *Guest) console() string {
	for _, host := range g.lab.Hosts {
		if text, err := os.ReadFile(host.Path(g.consolePath())); err == nil && len(text) > 0 {
			return string(text[max(0, len(text)-2000):])
		}
	}
	return "(empty)"
}

// newGuest fills in what config leaves open and reserves the name.
func (l *Lab) newGuest(config GuestConfig) (*Guest, error) {
	if config.Name == "" || strings.ContainsAny(config.Name, "/ \t\n\"'<>&") {
		return nil, fmt.Errorf("guest name %q: no blanks, quotes, slashes or angles", config.Name)
	}
	if config.UUID == "" {
		var b [16]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, err
		}
		b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
		config.UUID = fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
	if config.Host == "" {
		config.Host = l.Hosts[0].Name
	}
	if l.Host(config.Host) == nil {
		return nil, fmt.Errorf("lab %q has no host %q", l.Name, config.Host)
	}
	config.MemoryMiB = max(config.MemoryMiB, 0)
	if config.MemoryMiB == 0 {
		config.MemoryMiB = 256
	}
	if config.CPUs == 0 {
		config.CPUs = 1
	}
	if config.Fill == "" {
		config.Fill = Incompressible
	}
	if config.FillMiB > config.MemoryMiB-96 {
		return nil, fmt.Errorf("guest %q: %d MiB cannot be filled with %d MiB of memory, of which it needs 96 itself", config.Name, config.FillMiB, config.MemoryMiB)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.guests[config.Name] != nil {
		return nil, fmt.Errorf("lab %q already has a guest %q", l.Name, config.Name)
	}
	index := 0
	for _, other := range l.guests {
		index = max(index, other.Index+1)
	}
	if index+firstGuestNumber > 250 {
		return nil, errors.New("a lab has addresses for 150 guests over its life; start a new one")
	}
	g := &Guest{GuestConfig: config, Index: index, lab: l}
	l.guests[config.Name] = g
	return g, nil
}

// Guest returns the guest of that name, or nil.
func (l *Lab) Guest(name string) *Guest {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.guests[name]
}

// Guests lists the lab's guests in the order in which they were started.
func (l *Lab) Guests() []*Guest {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.guests), func(a, b *Guest) int { return a.Index - b.Index })
}

// Copies asks virsh on every host for the guest and returns the states of those that know it, by
// host: {"beta": "running"} is what one hopes for after a move.
func (g *Guest) Copies(ctx context.Context) (map[string]string, error) {
	copies := map[string]string{}
	for _, host := range g.lab.Hosts {
		state, err := host.DomainState(ctx, g.Name)
		if err != nil {
			return nil, err
		}
		if state != "" {
			copies[host.Name] = state
		}
	}
	return copies, nil
}

// Remove destroys the guest on every host and drops its definition, disks and records.
func (g *Guest) Remove(ctx context.Context) error {
	var problems []error
	for _, host := range g.lab.Hosts {
		// a move leaves the image on the host the guest left
		problems = append(problems, g.removeFrom(ctx, host), ignoreMissing(os.Remove(host.Path(g.localDiskPath()))))
	}
	problems = append(problems, g.lab.observer.Forget(ctx, g.Name), ignoreMissing(os.Remove(g.diskPath())), ignoreMissing(os.Remove(g.statePath())))
	g.lab.mu.Lock()
	defer g.lab.mu.Unlock()
	if g.lab.guests[g.Name] == g {
		delete(g.lab.guests, g.Name)
	}
	return errors.Join(problems...)
}

func (g *Guest) removeFrom(ctx context.Context, host *Host) error {
	state, err := host.DomainState(ctx, g.Name)
	if err != nil || state == "" {
		return err
	}
	if state != "shut off" {
		if _, err := host.Virsh(ctx, "destroy", g.Name); err != nil {
			return err
		}
	}
	// A transient guest is gone by now.
	if state, err := host.DomainState(ctx, g.Name); err != nil || state == "" {
		return err
	}
	_, err = host.Virsh(ctx, "undefine", g.Name, "--managed-save", "--nvram", "--snapshots-metadata", "--checkpoints-metadata")
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// portPath is the socket for the heartbeat, the same on every host.
func (g *Guest) portPath() string      { return "/run/lab/" + g.Name + ".sock" }
func (g *Guest) consolePath() string   { return "/var/log/libvirt/qemu/" + g.Name + "-console.log" }
func (g *Guest) localDiskPath() string { return "/var/lib/libvirt/images/" + g.Name + ".qcow2" }
func (g *Guest) diskPath() string      { return filepath.Join(g.lab.diskDir(), g.Name) }
func (g *Guest) statePath() string {
	return filepath.Join(g.lab.dir, "guests", g.Name+".json")
}

// encoded makes a text fit for one word of a kernel command line.
func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// kept is what another process needs to go on watching a guest.
type kept struct {
	Config GuestConfig
	Index  int
	Start  observer.Report
}

func (g *Guest) save() error {
	text, err := json.MarshalIndent(kept{g.GuestConfig, g.Index, g.started}, "", "  ")
	if err != nil {
		return err
	}
	return writeFiles(map[string][]byte{g.statePath(): text})
}

func (l *Lab) loadGuests() error {
	paths, err := filepath.Glob(filepath.Join(l.dir, "guests", "*.json"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var k kept
		if err := json.Unmarshal(text, &k); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		l.guests[k.Config.Name] = &Guest{GuestConfig: k.Config, Index: k.Index, lab: l, started: k.Start}
	}
	return nil
}

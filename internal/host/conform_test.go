package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/fakelibvirt"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// What the engine builds on is what libvirt does, and what the explorer builds on is what the daemon in memory does. So
// each scenario below is played on both, and has to give the same words.

// stage is two hosts and one guest that runs on the first. What is done and seen is noted, line by line.
type stage struct {
	ctx     context.Context
	hosts   [2]*host.Host
	out, in *host.Session
	dom     host.DomainID
	params  host.Params
	flags   host.Flags
	// uri is where the destination awaits the guest, without a port.
	uri    string
	cookie []byte
	lines  []string
	// busy: the guest's memory takes seconds to copy.
	busy bool
	// performing gives the end of a perform in the background.
	performing chan error
}

func (s *stage) note(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// said is an answer without its words, which are not the same in all versions.
func said(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, host.ErrNoDomain):
		return "no such domain"
	case errors.Is(err, host.ErrNoMetadata):
		return "no metadata"
	case host.Code(err) != 0:
		return fmt.Sprintf("error %d", host.Code(err))
	}
	return "no answer"
}

const space = "urn:virtmigrate:conformance"

func (s *stage) setMetadata(on int, text string, forms ...host.Form) {
	s.note("set metadata: %s", said(s.hosts[on].SetMetadata(s.ctx, s.dom.UUID, "v", space, text, forms...)))
}

func (s *stage) metadata(on int, form host.Form) {
	text, err := s.hosts[on].Metadata(s.ctx, s.dom.UUID, space, form)
	s.note("metadata %s: %s%s", []string{"live", "config"}[form], said(err), strings.TrimSpace(text))
}

func (s *stage) begin() {
	cookie, xml, err := s.out.Begin(s.ctx, s.dom, s.params, s.flags|host.FlagChangeProtection)
	s.note("begin: %s", said(err))
	s.cookie, s.params.DestinationXML = cookie, xml
}

func (s *stage) prepare() {
	cookie, uri, err := s.in.Prepare(s.ctx, s.params, s.cookie, s.flags)
	s.note("prepare: %s", said(err))
	s.cookie = cookie
	if uri != "" {
		s.params.MigrateURI = uri
	}
	s.params.DestinationXML = ""
}

func (s *stage) perform() {
	cookie, err := s.out.Perform(s.ctx, s.dom, s.params, s.cookie, s.flags|host.FlagChangeProtection)
	s.note("perform: %s", said(err))
	s.cookie = cookie
}

// copying performs in the background, and returns when memory flows.
func (s *stage) copying() {
	s.performing = make(chan error, 1)
	s.params.BandwidthMiBPerSecond = 16
	go func() {
		_, err := s.out.Perform(s.ctx, s.dom, s.params, s.cookie, s.flags|host.FlagChangeProtection)
		s.performing <- err
	}()
	for range 400 {
		j, err := s.hosts[0].Job(s.ctx, s.dom.UUID)
		if err == nil && j.MemoryProcessedBytes != nil && *j.MemoryProcessedBytes > 1<<20 {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	s.note("no memory flows")
}

func (s *stage) performed() { s.note("perform: %s", said(<-s.performing)) }

// finish has a cookie only of a perform that ended well, as with confirm and finish.
func (s *stage) finish(cancelled bool) {
	if cancelled || s.performing != nil {
		s.cookie = nil
	}
	_, cookie, err := s.in.Finish(s.ctx, s.params, s.cookie, s.flags, cancelled)
	s.note("finish: %s", said(err))
	s.cookie = cookie
}

func (s *stage) confirm(cancelled bool) {
	if cancelled {
		s.cookie = nil
	}
	s.note("confirm: %s", said(s.out.Confirm(s.ctx, s.dom, s.params, s.cookie, s.flags|host.FlagChangeProtection, cancelled)))
}

// picture is what both hosts have of the guest.
func (s *stage) picture() string {
	var words []string
	for _, h := range s.hosts {
		job, err := h.Job(s.ctx, s.dom.UUID)
		state, gone := h.State(s.ctx, s.dom.UUID)
		if errors.Is(gone, host.ErrNoDomain) {
			words = append(words, "nothing")
			continue
		}
		word := state.String()
		if err == nil && job.Kind != host.JobNone {
			word += []string{"", ", leaving", ", arriving", ", other job"}[job.Kind]
		}
		if persistent, err := h.Persistent(s.ctx, s.dom.UUID); err != nil || !persistent {
			word += ", transient"
		}
		words = append(words, word)
	}
	return strings.Join(words, " | ")
}

// look notes the picture once it stands still for a second.
func (s *stage) look() {
	last, since := s.picture(), time.Now()
	for deadline := time.Now().Add(time.Minute); time.Since(since) < time.Second && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
		if now := s.picture(); now != last {
			last, since = now, time.Now()
		}
	}
	s.note("%s", last)
}

// stub is a definition of the guest's name and UUID that runs nothing.
func (s *stage) stub() string {
	return guestXML(s.dom.Name, s.dom.UUID, `<metadata><v:token xmlns:v="`+space+`"/></metadata>`)
}

// guestXML is a guest without disks, whose firmware finds nothing to start.
func guestXML(name, id, more string) string {
	return `<domain type="qemu"><name>` + name + `</name><uuid>` + id + `</uuid>` + more + `<memory unit="MiB">64</memory><vcpu>1</vcpu>` +
		`<os><type arch="x86_64" machine="pc">hvm</type></os><devices><controller type="usb" model="none"/><memballoon model="none"/></devices></domain>`
}

// start makes a small guest that runs on the first host, with a definition.
func (s *stage) start() error {
	s.dom = host.DomainID{Name: "conform-" + uuid.NewString()[:8], UUID: uuid.NewString()}
	xml := guestXML(s.dom.Name, s.dom.UUID, "")
	if err := s.hosts[0].Define(s.ctx, xml); err != nil {
		return err
	}
	if err := s.hosts[0].CreatePaused(s.ctx, xml); err != nil {
		return err
	}
	return s.hosts[0].Resume(s.ctx, s.dom.UUID)
}

// enter opens the sessions of a guest that is there.
func (s *stage) enter() (err error) {
	if s.dom, err = s.hosts[0].Lookup(s.ctx, s.dom.UUID); err != nil {
		return err
	}
	s.params.DestinationName, s.uri = s.dom.Name, s.params.MigrateURI
	if s.out, err = s.hosts[0].Session(s.ctx); err != nil {
		return err
	}
	s.in, err = s.hosts[1].Session(s.ctx)
	return err
}

// clear removes what is left of the guest.
func (s *stage) clear(ctx context.Context) {
	for _, session := range []*host.Session{s.out, s.in} {
		if session != nil {
			_ = session.Close()
		}
	}
	for _, h := range s.hosts {
		_ = h.Destroy(ctx, s.dom.UUID) // whatever is there
		_ = h.Undefine(ctx, s.dom.UUID)
	}
}

// differs says in what a scenario did not give the words that it should.
func (s *stage) differs(want string) string {
	lines := strings.Split(strings.TrimSpace(want), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	if slices.Equal(lines, s.lines) {
		return ""
	}
	return fmt.Sprintf("got\n\t%s\nwant\n\t%s", strings.Join(s.lines, "\n\t"), strings.Join(lines, "\n\t"))
}

// TestTheDaemonInMemoryConforms plays every scenario on daemons in memory.
func TestTheDaemonInMemoryConforms(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(strings.ReplaceAll(sc.name, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := fakelibvirt.NewWorld("alpha", "beta")
				s := &stage{ctx: t.Context(), busy: sc.busy, flags: conformFlags, params: host.Params{MigrateURI: "tcp://beta"}}
				for i, name := range []string{"alpha", "beta"} {
					cfg := host.Config{Name: name, URI: "qemu+unix:///system?socket=/fake/" + name}
					cfg.Connect = func(ctx context.Context) (io.ReadWriteCloser, error) { return w.Host(name).Dial(ctx, "a test") }
					h, err := host.Dial(t.Context(), cfg)
					if err != nil {
						t.Fatal(err)
					}
					defer h.Close()
					s.hosts[i] = h
				}
				defer s.clear(t.Context())
				if err := errors.Join(s.start(), s.enter()); err != nil {
					t.Fatal(err)
				}
				sc.play(s)
				if wrong := s.differs(sc.want); wrong != "" {
					t.Error(wrong)
				}
			})
		})
	}
}

const conformFlags = host.FlagLive | host.FlagPersistDest | host.FlagUndefineSource

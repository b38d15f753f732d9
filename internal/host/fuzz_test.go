package host

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	libvirt "github.com/digitalocean/go-libvirt"
)

// stream is a connection whose far side has sent its bytes and gone.
type stream struct{ io.Reader }

func (stream) Write(p []byte) (int, error) { return len(p), nil }
func (stream) Close() error                { return nil }

// FuzzFrames gives the reader whatever a broken peer may send. Nothing but whole replies to the one call
// that waits may come out.
func FuzzFrames(f *testing.F) {
	reply := frame(programRemote, 298, typeReply, 7, 0, append(word(0), word(0)...))
	f.Add(reply)
	f.Add(append(keepaliveFrame(keepalivePing), event(3, 1)...))
	f.Add(append(event(5, 3), reply...))
	f.Add(frame(programRemote, 298, typeReply, 7, 0, append(word(1), word(1<<31-1)...)))
	f.Add(frame(programRemote, procAuthList, typeReply, 7, 0, array(0, 1, 2)))
	f.Add(reply[:20])
	f.Add(append(word(4), reply...))
	f.Add(append(word(math.MaxUint32), reply...))
	f.Fuzz(func(t *testing.T, sent []byte) {
		w := newWire(stream{bytes.NewReader(sent)}, func(happening, time.Time) {})
		w.waiting[7] = asked{programRemote, 298}
		out, err := io.ReadAll(w)
		if err != nil {
			t.Fatal(err)
		}
		<-w.dead
		w.tasks.Wait()
		if len(out) == 0 {
			return
		}
		h, err := parseHeader(out)
		if err != nil || int(h.length) != len(out) || h.serial != 7 || h.kind != typeReply {
			t.Errorf("handed on %d bytes: %+v, %v", len(out), h, err)
		}
	})
}

// FuzzOutgoing cuts frames into pieces at will: the boundaries found must be the true ones.
func FuzzOutgoing(f *testing.F) {
	f.Add([]byte("payload"), []byte{1, 27, 1, 200})
	f.Add([]byte{}, []byte{28})
	f.Fuzz(func(t *testing.T, payload, cuts []byte) {
		one := frame(programRemote, 1, typeCall, 1, 0, payload)
		both := append(append([]byte{}, one...), one...)
		var o outgoing
		began := 0
		for at := 0; at < len(both); {
			n := len(both) - at
			if len(cuts) > 0 {
				n, cuts = min(n, int(cuts[0])), cuts[1:]
			}
			if err := o.advance(both[at:at+n], func(header) { began++ }); err != nil {
				t.Fatal(err)
			}
			at += n
			if o.atBoundary() != (at == 0 || at == len(one) || at == len(both)) {
				t.Fatalf("at byte %d of frames of %d: boundary %v", at, len(one), o.atBoundary())
			}
		}
		if began != 2 {
			t.Fatalf("%d frames began", began)
		}
	})
}

func FuzzLifecycleEvent(f *testing.F) {
	f.Add(event(3, 1)[headerSize:])
	f.Add(append(word(1), word(math.MaxUint32)...))
	f.Add(append(event(3, 1)[headerSize:len(event(3, 1))-8], word(2)...)) // a pass has one word less
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = parseEvent(procLifecycle, b)
		if h, err := parseEvent(procPass, b); err == nil && h.kind != EventMemoryPass {
			t.Errorf("a pass was taken for an event of kind %d", h.kind)
		}
		if h, err := parseEvent(procIOError, b); err == nil && (h.kind != EventIOError || h.detail != 0) {
			t.Errorf("an error of a disk was taken for an event of kind %d", h.kind)
		}
		_ = parseAuthList(b)
	})
}

// FuzzDomainXML reads descriptions that no libvirt would write, too.
func FuzzDomainXML(f *testing.F) {
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatal("no descriptions to begin with: ", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(`<domain><devices><disk/><hostdev/><interface/><filesystem/><tpm><backend/></tpm></devices></domain>`)
	f.Add(`<domain type='qemu' id='-1'><memory unit='EiB'>99999999999999999999</memory><vcpu>-1</vcpu></domain>`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := readDomain(text)
		if err != nil {
			return
		}
		if d.CPUXML != "" {
			var cpu struct{ XMLName xml.Name }
			if err := xml.Unmarshal([]byte(d.CPUXML), &cpu); err != nil || cpu.XMLName.Local != "cpu" {
				t.Errorf("cut %q out for the CPU: %v", d.CPUXML, err)
			}
		}
		for _, disk := range d.Disks {
			if !disk.Local && !disk.Empty && disk.Type != "network" {
				t.Errorf("a disk of type %q counts as reachable from elsewhere: %+v", disk.Type, disk)
			}
		}
		for _, words := range append(d.HostDevices, d.Blockers...) {
			if strings.TrimSpace(words) == "" {
				t.Error("a blocker without a word")
			}
		}
	})
}

// FuzzTypedParameters sends job statistics through go-libvirt's own decoder.
func FuzzTypedParameters(f *testing.F) {
	param := func(name string, kind uint32, value []byte) []byte {
		return append(append(text(name), word(kind)...), value...)
	}
	stats := func(params ...[]byte) []byte {
		return append(append(word(2), word(uint32(len(params)))...), bytes.Join(params, nil)...)
	}
	long := binary.BigEndian.AppendUint64(nil, 12345)
	f.Add(stats(param("operation", 1, word(5)), param("time_elapsed", 4, long), param("errmsg", 7, text("x\ny"))))
	f.Add(stats(param("downtime", 3, binary.BigEndian.AppendUint64(nil, 1<<63)), param("memory_total", 9, long)))
	f.Add(stats(param("memory_total", 5, long), param("setup_time", 6, word(1)), param("", 2, word(7))))
	f.Add(append(word(2), word(1<<31-1)...))
	f.Fuzz(func(t *testing.T, payload []byte) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		w := newWire(ours, nil)
		r := &rpc{host: "alpha", wire: w, lib: libvirt.NewWithDialer(w)}
		defer r.close()
		go func() {
			c := &peerConn{Conn: theirs}
			for {
				h, _, err := c.frame()
				switch {
				case err != nil:
					return
				case h.procedure == procAuthList:
					c.reply(h, array(0))
				case h.procedure == 1:
					c.reply(h, nil)
				default:
					c.reply(h, payload)
				}
			}
		}()
		_, err := call(t.Context(), r, "open", noLimit, func(l *libvirt.Libvirt) (struct{}, error) {
			return struct{}{}, l.ConnectToURI("qemu:///system")
		})
		if err != nil {
			t.Fatal(err)
		}
		j, err := call(t.Context(), r, "read the job", time.Minute, func(l *libvirt.Libvirt) (Job, error) {
			kind, params, err := l.DomainGetJobStats(libvirt.Domain{}, 0)
			return readJob(kind, params), err
		})
		if err == nil && strings.ContainsAny(j.ErrorMessage, "\n\r\x00") {
			t.Errorf("%q would break a log's lines", j.ErrorMessage)
		}
	})
}

package relay_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/relay"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/relay/programs"
)

// process is the embedded program, run as a host runs it.
type process struct {
	io.Reader
	io.WriteCloser
	wait func() error
}

func (p process) Close() error {
	_ = p.WriteCloser.Close()
	return p.wait()
}

func start(t *testing.T, arch string, with ...string) *relay.Remote {
	t.Helper()
	image, err := programs.Image(arch)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "relay")
	if err := os.WriteFile(file, image, 0o755); err != nil {
		t.Fatal(err)
	}
	args := append(with, file, "serve")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = t.Output()
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := relay.Attach(arch, process{out, in, sync.OnceValue(cmd.Wait)}, func(text string) { t.Log(text) })
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// joined starts two relays as processes of their own and connects a QEMU at each end.
func joined(t *testing.T, change func(*relay.Settings), run func(*testing.T) *relay.Remote) (from, to *relay.Remote, a, b net.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	names, _ := relay.SocketNames("guest")
	s := relay.Settings{
		Sockets: map[string]string{"memory": names["memory"]}, QEMUUID: os.Getuid(), QEMUGID: os.Getgid(), Address: "127.0.0.1", FirstPort: 42216, LastPort: 42279,
		Acknowledge: relay.AcknowledgeWindow, Compression: relay.CompressionNone, ChunkBytes: relay.DefaultChunkBytes, Channels: 1, ReconnectMS: 5000, BlackoutMS: 5000,
	}
	if change != nil {
		change(&s)
	}
	var ready [2]relay.Ready
	var remotes [2]*relay.Remote
	var dirs [2]string
	for i, role := range []relay.Role{relay.Source, relay.Destination} {
		dir, err := os.MkdirTemp("", "relay")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		s.Role, s.Directory, dirs[i] = role, dir, dir
		remotes[i] = run(t)
		if _, _, err := remotes[i].Hello(ctx); err != nil {
			t.Fatal(err)
		}
		if ready[i], err = remotes[i].Configure(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := remotes[1].Accept(ready[0].Pin); err != nil {
		t.Fatal(err)
	}
	protocol, cipher, err := remotes[0].Connect(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(ready[1].Port)), ready[1].Pin)
	if err != nil || protocol != "TLS 1.3" || !strings.HasPrefix(cipher, "TLS_") {
		t.Fatalf("%s, %s: %v", protocol, cipher, err)
	}
	l, err := net.Listen("unix", filepath.Join(dirs[1], names["memory"]))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("unix", filepath.Join(dirs[0], names["memory"])); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return remotes[0], remotes[1], a, b
}

// TestMemoryIsBounded: a QEMU that takes long to read costs the relays no memory, whatever the guest's size.
func TestMemoryIsBounded(t *testing.T) {
	from, to, a, b := joined(t, nil, func(t *testing.T) *relay.Remote { return start(t, "x86_64") })
	size := 768 << 20
	if testing.Short() {
		size >>= 2
	}
	var both sync.WaitGroup
	both.Go(func() {
		buf := make([]byte, 1<<20)
		for left := size; left > 0; left -= len(buf) {
			if _, err := a.Write(buf); err != nil {
				t.Error(err)
				return
			}
		}
		_ = a.Close()
	})
	time.Sleep(2 * time.Second) // the sender is far ahead by now
	n, err := io.Copy(io.Discard, b)
	if n != int64(size) || err != nil {
		t.Errorf("%d bytes arrived: %v", n, err)
	}
	_ = b.Close()
	both.Wait()
	for name, r := range map[string]*relay.Remote{"source": from, "destination": to} {
		f, err := r.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("the %s's relay had %d MiB at most and took %.2f s of CPU", name, f.PeakMemoryBytes>>20, f.CPUSeconds)
		if f.PeakMemoryBytes <= 0 || f.PeakMemoryBytes >= 128<<20 {
			t.Errorf("the %s's relay had %d MiB", name, f.PeakMemoryBytes>>20)
		}
	}
}

// TestForeignRelay runs the other architecture's program under an emulator.
func TestForeignRelay(t *testing.T) {
	emulator, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Skip("qemu-aarch64-static is not installed (Debian: qemu-user-static)")
	}
	from, to, a, b := joined(t, func(s *relay.Settings) { s.Compression = relay.CompressionZstd }, func(t *testing.T) *relay.Remote { return start(t, "aarch64", emulator) })
	const text = "from one aarch64 to the other"
	if _, err := io.WriteString(a, text); err != nil {
		t.Fatal(err)
	}
	_ = a.Close()
	if got, err := io.ReadAll(b); string(got) != text || err != nil {
		t.Errorf("got %q: %v", got, err)
	}
	_ = b.Close()
	for _, r := range []*relay.Remote{from, to} {
		if _, err := r.Finish(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestRelayEndsWithItsController: a control channel that ends, ends the relay.
func TestRelayEndsWithItsController(t *testing.T) {
	for _, detached := range []bool{false, true} {
		from, to, a, b := joined(t, func(s *relay.Settings) { s.Detached = detached }, func(t *testing.T) *relay.Remote { return start(t, "x86_64") })
		go func() { _, _ = from.Close(), to.Close() }() // which wait for the processes' ends
		_ = b.SetReadDeadline(time.Now().Add(2 * time.Second))
		_, err := b.Read(make([]byte, 1))
		if ended := err == io.EOF; ended == detached {
			t.Errorf("detached %v: QEMU's connection said %v", detached, err)
		}
		_, _ = a.Close(), b.Close()
		select {
		case <-from.Ended():
		case <-time.After(20 * time.Second):
			t.Errorf("detached %v: the relay goes on", detached)
		}
	}
}

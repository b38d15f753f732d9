package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// labName is this package's own lab, so that it lives beside others.
const labName = "terraform"

var shared struct {
	sync.Once
	lab *lab.Lab
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.lab != nil {
		if err := shared.lab.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "close the lab:", err)
			code = 1
		}
	}
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, "remove the built provider:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// needLab starts the package's lab at the first call.
func needLab(t *testing.T) *lab.Lab {
	t.Helper()
	switch {
	case os.Getenv("VIRTMIGRATE_NO_LAB") != "":
		t.Skip("VIRTMIGRATE_NO_LAB is set")
	case os.Getenv("TF_ACC") == "":
		t.Skip("acceptance tests run the real terraform: set TF_ACC=1, and TF_ACC_TERRAFORM_PATH if it is not on PATH")
	case os.Getuid() != 0:
		t.Skip("the lab needs root")
	}
	shared.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		shared.lab, shared.err = lab.Start(ctx, lab.Config{Name: labName})
	})
	if shared.err != nil {
		t.Fatalf("start the lab: %v", shared.err)
	}
	return shared.lab
}

// inProcess serves the provider to terraform from within the test.
func inProcess(t *testing.T) map[string]func() (tfprotov6.ProviderServer, error) {
	return map[string]func() (tfprotov6.ProviderServer, error){
		"virtmigrate": func() (tfprotov6.ProviderServer, error) {
			p := newProvider("test")
			t.Cleanup(func() {
				if p.fleet != nil {
					_ = p.fleet.Close() // the daemons would end the connections anyhow
				}
			})
			return providerserver.NewProtocol6WithError(p)()
		},
	}
}

// providerBlock is the lab's hosts as a user would write them; more are further hosts, as HCL.
func providerBlock(l *lab.Lab, kind lab.Kind, more ...string) string {
	var b strings.Builder
	b.WriteString("provider \"virtmigrate\" {\n  hosts = {\n")
	for _, h := range l.Hosts {
		fmt.Fprintf(&b, "    %s = {\n      uri = %q\n      migration_address = %q\n      tls_destination = %q\n      peer_uri = %q\n",
			h.Name, h.URI(kind), h.MigrationAddress(), h.TLSName(), h.PeerURI(lab.TLS))
		if kind == lab.TCP {
			b.WriteString("      allow_plain_control = true\n")
		}
		b.WriteString("    }\n")
	}
	b.WriteString(strings.Join(more, "\n") + "\n  }\n}\n")
	return b.String()
}

// domain is a resource named test, of a guest named name.
func domain(name, host string, more ...string) string {
	return fmt.Sprintf("resource \"virtmigrate_domain\" \"test\" {\n  name = %q\n  host = %q\n  %s\n}\n", name, host, strings.Join(more, "\n  "))
}

const address0 = "virtmigrate_domain.test"

// within bounds what a test does on the lab.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// startGuest starts a guest that goes with the test.
func startGuest(t *testing.T, l *lab.Lab, c lab.GuestConfig) *lab.Guest {
	t.Helper()
	g, err := l.StartGuest(within(t, time.Minute), c)
	if err != nil {
		t.Fatalf("start guest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := g.Remove(ctx); err != nil {
			t.Errorf("remove guest: %v", err)
		}
	})
	return g
}

// runs says whether the guest runs on exactly the named host, never restarted, as virsh and the guest's
// own heartbeat tell.
func runs(ctx context.Context, l *lab.Lab, g *lab.Guest, on string) error {
	for _, h := range l.Hosts {
		want := ""
		if h.Name == on {
			want = "running"
		}
		if state, err := h.DomainState(ctx, g.Name); err != nil || state != want {
			return fmt.Errorf("virsh says that guest %s is %q on %s (%v), want %q", g.Name, state, h.Name, err, want)
		}
	}
	if err := g.Check(ctx); err != nil {
		return fmt.Errorf("the guest is not unharmed: %w", err)
	}
	if health, err := g.Health(ctx, time.Time{}); err != nil || health.Host != on {
		return fmt.Errorf("the guest beats on %q (%v), want %s", health.Host, err, on)
	}
	return nil
}

func mustRun(t *testing.T, l *lab.Lab, g *lab.Guest, on string) {
	t.Helper()
	if err := runs(within(t, 30*time.Second), l, g, on); err != nil {
		t.Error(err)
	}
}

// mustComeToRun is mustRun with patience: right after an interrupted move, on a machine that is busy with
// other labs, an emulated guest may get no CPU for longer than its check waits.
func mustComeToRun(ctx context.Context, t *testing.T, l *lab.Lab, g *lab.Guest, on string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := runs(ctx, l, g, on)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		t.Log(err)
	}
}

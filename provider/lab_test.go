package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

func TestMain(m *testing.M) {
	code := labtest.Run(m, "terraform")
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, "remove the built provider:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// needLab skips a test that cannot run the real terraform on the lab.
func needLab(t *testing.T) *lab.Lab {
	t.Helper()
	if os.Getenv("TF_ACC") == "" {
		t.Skip("acceptance tests run the real terraform: set TF_ACC=1, and TF_ACC_TERRAFORM_PATH if it is not on PATH")
	}
	return labtest.Lab(t)
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

// block is a nested block with more than one line.
func block(name string, lines ...string) string {
	return name + " {\n    " + strings.Join(lines, "\n    ") + "\n  }"
}

const address0 = "virtmigrate_domain.test"

// mustComeToRun is mustRun with patience: right after an interrupted move, on a machine that is busy with
// other labs, an emulated guest may get no CPU for longer than its check waits.
func mustComeToRun(ctx context.Context, t *testing.T, l *lab.Lab, g *lab.Guest, on string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := labtest.Runs(ctx, l, g, on)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		t.Log(err)
	}
}

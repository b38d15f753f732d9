// Command demo shows the whole of virtmigrate on one machine: it starts a lab of two libvirt hosts with
// one guest on alpha, moves the guest to beta with `terraform apply` and back with an Ansible playbook,
// prints what each move cost, and proves that the guest never restarted.
//
// It runs the built provider and collection as a user would, as programs of their own; it shares no
// code with them.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

const guestName = "web"

// show is where the demo's own lines go.
func say(format string, args ...any) { fmt.Printf("\n== "+format+"\n", args...) }

func main() {
	keep := flag.Bool("keep", false, "leave the lab up")
	build := flag.String("build", "build", "the folder with the provider and the collection")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx, *build, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func demo(ctx context.Context, build string, keep bool) (err error) {
	build, err = filepath.Abs(build)
	if err != nil {
		return err
	}
	out := filepath.Join(build, "demo")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	say("Two libvirt hosts, alpha and beta, on this machine")
	l, err := lab.Start(ctx, lab.Config{Name: "demo", Log: slog.New(slog.NewTextHandler(os.Stdout, nil))})
	if err != nil {
		return err
	}
	defer func() {
		if keep && err == nil {
			return
		}
		if down := l.Close(); err == nil {
			err = down
		}
	}()
	g, err := l.StartGuest(ctx, lab.GuestConfig{
		Name: guestName, Host: "alpha", MemoryMiB: 1024, FillMiB: 768, DirtyMiBPerSecond: 8, Disk: true, NIC: true, Autostart: true,
	})
	if err != nil {
		return err
	}
	started := time.Now()
	fmt.Printf("guest %q (%s) runs on alpha: 1 GiB, 768 MiB of it filled with incompressible data, 8 MiB rewritten each second,\n"+
		"a file on a network disk written and checked all the time, an open TCP session\n", g.Name, g.UUID)

	tf, err := newTerraform(filepath.Join(out, "terraform"), build, l)
	if err != nil {
		return err
	}
	say("terraform apply, host = \"alpha\": the guest is adopted where it is")
	if err := tf.apply(ctx, "alpha"); err != nil {
		return err
	}
	say("terraform apply, host = \"beta\": the guest moves, live and encrypted")
	if err := tf.apply(ctx, "beta"); err != nil {
		return err
	}
	there, err := tf.lastMigration(ctx, filepath.Join(out, "terraform.json"))
	if err != nil {
		return err
	}
	if err := g.Check(ctx); err != nil {
		return fmt.Errorf("the guest after terraform: %w", err)
	}

	say("ansible-playbook: the guest comes back")
	back, err := runPlaybook(ctx, filepath.Join(out, "ansible"), build, filepath.Join(out, "ansible.json"), l)
	if err != nil {
		return err
	}
	if err := g.Check(ctx); err != nil {
		return fmt.Errorf("the guest after ansible: %w", err)
	}

	say("What the two moves cost")
	printTable(os.Stdout, map[string]move{"terraform": there, "ansible": back}, []string{"terraform", "ansible"})
	if err := printProof(ctx, g, started); err != nil {
		return err
	}
	fmt.Printf("\nwritten: %s, %s\n", filepath.Join(out, "terraform.json"), filepath.Join(out, "ansible.json"))
	if keep {
		say("The lab stays up; go on by hand")
		fmt.Printf("  cd %s && TF_CLI_CONFIG_FILE=%s %s apply -var host=beta\n", tf.dir, tf.config, tf.program)
		fmt.Printf("  ANSIBLE_COLLECTIONS_PATH=%s ansible-playbook %s\n", filepath.Join(build, "ansible"), filepath.Join(out, "ansible", "back.yml"))
		fmt.Println("  go run ./internal/lab/cmd status -name demo\n  go run ./internal/lab/cmd down -name demo")
	}
	return nil
}

// printProof says, from outside the guest, that it is the one that was started.
func printProof(ctx context.Context, g *lab.Guest, since time.Time) error {
	health, err := g.Health(ctx, time.Time{})
	if err != nil {
		return err
	}
	gap, err := g.SwitchoverGap(ctx, since)
	if err != nil {
		return err
	}
	say("The guest, seen from outside it")
	fmt.Printf("runs on %s; booted once, %d heartbeats without a restart, %d lost; longest silence in a switchover %d ms (%s to %s)\n",
		health.Host, health.Beats, health.Lost, gap.Length.Milliseconds(), gap.FromHost, gap.ToHost)
	fmt.Println("memory, disk and the TCP session are as they were: good")
	return nil
}

func writeJSON(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

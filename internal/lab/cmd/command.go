package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

const usage = `usage: lab COMMAND [flags]

  install  bring from Debian's archive what the lab, the demo and the tests need
  up       make the lab and start one guest; print how to reach it
  status   show hosts, daemons and guests
  watch    print a guest's health every second until it is interrupted
  guest    start one more guest in a lab that is up
  snippets print ready-to-paste Terraform and Ansible again
  down     remove everything

Every command takes -h. The lab's name is given with -name (default: lab).
`

// command runs one of the commands a person gives.
func command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Print(usage)
		return nil
	}
	flags := flag.NewFlagSet("lab "+args[0], flag.ContinueOnError)
	name := flags.String("name", "lab", "the lab's `name`; labs of different names live side by side")
	commands := map[string]func(context.Context, *flag.FlagSet, *string, []string) error{
		"install": install, "up": up, "status": status, "watch": watch, "guest": guest, "snippets": snippets, "down": down,
	}
	run := commands[args[0]]
	if run == nil {
		return fmt.Errorf("no command %q\n\n%s", args[0], usage)
	}
	err := run(ctx, flags, name, args[1:])
	if err == flag.ErrHelp {
		return nil
	}
	return err
}

func guestFlags(flags *flag.FlagSet, name string) *lab.GuestConfig {
	config := &lab.GuestConfig{}
	flags.StringVar(&config.Name, "guest", name, "the guest's `name`")
	flags.StringVar(&config.Host, "host", "", "the `host` it starts on (default: the first)")
	flags.IntVar(&config.MemoryMiB, "memory", 256, "its memory in `MiB`")
	flags.IntVar(&config.FillMiB, "fill", 128, "how many `MiB` of it are filled")
	flags.Func("pattern", "what with: incompressible (default) or compressible", func(text string) error {
		config.Fill = lab.Fill(text)
		if config.Fill != lab.Incompressible && config.Fill != lab.Compressible {
			return fmt.Errorf("incompressible or compressible")
		}
		return nil
	})
	flags.IntVar(&config.DirtyMiBPerSecond, "dirty", 0, "how many `MiB` it rewrites each second")
	flags.BoolVar(&config.Disk, "disk", true, "give it a shared disk on which a file is written and checked")
	flags.BoolVar(&config.LocalDisk, "local-disk", false, "give it a qcow2 image on its host's own disk")
	flags.BoolVar(&config.NIC, "nic", true, "give it a network interface with an open TCP session")
	flags.BoolVar(&config.StockMemory, "stock-memory", false, "exactly that much memory, which emulated guests may lose writes of when they move")
	flags.BoolVar(&config.Autostart, "autostart", false, "mark it to be started with its host")
	return config
}

func up(ctx context.Context, flags *flag.FlagSet, name *string, args []string) error {
	network := flags.String("network", "", "IPv4 network of 24 bits (default: a free one in 10.84.0.0/14)")
	hosts := flags.String("hosts", "alpha,beta", "names of the hosts")
	config := guestFlags(flags, "demo")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted := lab.Config{Name: *name, Hosts: strings.Split(*hosts, ","), Log: printer{}}
	if *network != "" {
		prefix, err := netip.ParsePrefix(*network)
		if err != nil {
			return err
		}
		wanted.Network = prefix
	}
	begin := time.Now()
	l, err := lab.Start(ctx, wanted)
	if err != nil {
		return err
	}
	if config.Name != "" {
		if _, err := l.StartGuest(ctx, *config); err != nil {
			l.Close()
			return err
		}
	}
	fmt.Printf("lab %q is up after %.1f s.\n\n", l.Name, time.Since(begin).Seconds())
	printHosts(os.Stdout, l)
	fmt.Printf("\nTerraform:\n\n%s\nAnsible:\n\n%s\n", l.TerraformSnippet(config.Name), l.AnsibleSnippet(config.Name))
	return nil
}

func install(ctx context.Context, flags *flag.FlagSet, _ *string, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	return lab.Install(ctx, printer{}, lab.Ansible, lab.Browser)
}

func snippets(_ context.Context, flags *flag.FlagSet, name *string, args []string) error {
	guest := flags.String("guest", "demo", "the guest's `name`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	l, err := lab.Attach(*name)
	if err != nil {
		return err
	}
	fmt.Printf("Terraform:\n\n%s\nAnsible:\n\n%s\n", l.TerraformSnippet(*guest), l.AnsibleSnippet(*guest))
	return nil
}

func guest(ctx context.Context, flags *flag.FlagSet, name *string, args []string) error {
	config := guestFlags(flags, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	l, err := lab.Attach(*name)
	if err != nil {
		return err
	}
	g, err := l.StartGuest(ctx, *config)
	if err != nil {
		return err
	}
	fmt.Printf("guest %q runs on %s.\n", g.Name, g.Host)
	return nil
}

func printHosts(out io.Writer, l *lab.Lab) {
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	defer table.Flush()
	for _, host := range l.Hosts {
		fmt.Fprintf(table, "%s\t%s\n", host.Name, host.Address)
		for _, kind := range lab.Kinds {
			fmt.Fprintf(table, "  %s\t%s\n", kind, host.URI(kind))
		}
		fmt.Fprintf(table, "  shell\tnsenter -t %d -m -u -n -p -r bash\n", host.PID())
	}
}

func status(ctx context.Context, flags *flag.FlagSet, name *string, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	l, err := lab.Attach(*name)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(table, "HOST\tADDRESS\tDAEMON\tGUESTS\n")
	for _, host := range l.Hosts {
		daemon := "answers"
		domains, err := host.Domains(ctx)
		if err != nil {
			daemon = "does not answer"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", host.Name, host.Address, daemon, strings.Join(domains, ", "))
	}
	fmt.Fprintf(table, "\nGUEST\tON\tLAST BEAT\tUPTIME\tBEATS\tLOST\tLONGEST GAP\tHEALTH\n")
	for _, g := range l.Guests() {
		fmt.Fprintln(table, g.Name+"\t"+line(ctx, g))
	}
	return table.Flush()
}

// line is one row about a guest.
func line(ctx context.Context, g *lab.Guest) string {
	health, err := g.Health(ctx, time.Time{})
	if err != nil {
		return err.Error()
	}
	verdict := "good: same boot, memory, disk and session intact"
	if err := g.Check(ctx); err != nil {
		verdict = err.Error()
	}
	return fmt.Sprintf("%s\t%v ago\t%v\t%d\t%d\t%v\t%s", health.Host, health.Age.Round(time.Millisecond), health.Pulse.Uptime.Round(time.Second),
		health.Beats, health.Lost, health.Gap.Length.Round(time.Millisecond), verdict)
}

func watch(ctx context.Context, flags *flag.FlagSet, name *string, args []string) error {
	guest := flags.String("guest", "demo", "the guest's `name`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	l, err := lab.Attach(*name)
	if err != nil {
		return err
	}
	g := l.Guest(*guest)
	if g == nil {
		return fmt.Errorf("lab %q has no guest %q", *name, *guest)
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			fmt.Println(now.Format(time.TimeOnly), strings.ReplaceAll(line(ctx, g), "\t", "  "))
		}
	}
}

func down(ctx context.Context, flags *flag.FlagSet, name *string, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	return lab.Down(ctx, *name)
}

// printer shows the lab's log to a person.
type printer struct{}

func (printer) Info(msg string, args ...any) { say(msg, args) }
func (printer) Warn(msg string, args ...any) { say("warning: "+msg, args) }

func say(msg string, args []any) {
	for i := 0; i+1 < len(args); i += 2 {
		msg += fmt.Sprintf(" %v=%v", args[i], args[i+1])
	}
	fmt.Fprintln(os.Stderr, "lab:", msg)
}

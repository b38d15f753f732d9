package lab

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Snapshot is what there is on a host, in a form that can be compared: every process, listening
// socket, file, domain and storage pool, each with a text that changes when the thing does. Logs,
// caches and the guests' heartbeat sockets are left out, and so is everything that differs
// between two runs of the same: process numbers, the numbers of running domains, times.
type Snapshot struct {
	Host  string
	Items map[string]string
}

// Diff lists what is in one snapshot and not in the other, and what changed, as lines that begin
// with "-", "+" and "~".
func Diff(before, after Snapshot) []string {
	var lines []string
	for key, value := range before.Items {
		switch now, there := after.Items[key]; {
		case !there:
			lines = append(lines, fmt.Sprintf("- %s: %s (%s)", before.Host, key, value))
		case now != value:
			lines = append(lines, fmt.Sprintf("~ %s: %s (%s, then %s)", before.Host, key, value, now))
		}
	}
	for key, value := range after.Items {
		if _, there := before.Items[key]; !there {
			lines = append(lines, fmt.Sprintf("+ %s: %s (%s)", after.Host, key, value))
		}
	}
	slices.Sort(lines)
	return lines
}

// Without returns the snapshot without what belongs to a guest: its domain, its QEMU process, and
// files and sockets that carry its name.
func (s Snapshot) Without(guest string) Snapshot {
	name := regexp.MustCompile(`(^|[^A-Za-z0-9])` + regexp.QuoteMeta(guest) + `([^A-Za-z0-9]|$)`)
	kept := Snapshot{Host: s.Host, Items: maps.Clone(s.Items)}
	maps.DeleteFunc(kept.Items, func(key, _ string) bool { return name.MatchString(key) })
	return kept
}

// Snapshot describes the host as it is now.
func (h *Host) Snapshot(ctx context.Context) (Snapshot, error) {
	s := Snapshot{Host: h.Name, Items: map[string]string{}}
	if err := h.addDomains(ctx, s.Items); err != nil {
		return s, err
	}
	h.addProcesses(s.Items)
	return s, errors.Join(h.addSockets(s.Items), h.addFiles(s.Items))
}

// Snapshot describes all hosts, in their order.
func (l *Lab) Snapshot(ctx context.Context) ([]Snapshot, error) {
	var all []Snapshot
	for _, host := range l.Hosts {
		s, err := host.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// DiffAll compares what Lab.Snapshot returned.
func DiffAll(before, after []Snapshot) []string {
	var lines []string
	for i := range before {
		lines = append(lines, Diff(before[i], after[i])...)
	}
	return lines
}

// runNumber is the part of a name that changes each time a domain is started.
var runNumber = regexp.MustCompile(`domain-\d+-`)

func (h *Host) addProcesses(items map[string]string) {
	for _, pid := range h.processes() {
		args := arguments(pid)
		// Process 1 is the lab's. A process without arguments is a kernel's or a dead one.
		if pid == h.pid || len(args) == 0 {
			continue
		}
		text := runNumber.ReplaceAllString(strings.Join(args, " "), "domain-N-")
		if len(text) > 300 {
			text = fmt.Sprintf("%s… %x", text[:200], sha256.Sum256([]byte(text)))
		}
		key := "process " + text
		for n := 2; items[key] != ""; n++ {
			key = fmt.Sprintf("process %s (the %dth like it)", text, n)
		}
		items[key] = "runs"
	}
}

// addSockets reads the kernel's tables in the words of the host's process 1.
func (h *Host) addSockets(items map[string]string) error {
	table := func(name string) ([][]string, error) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", h.pid, name))
		var rows [][]string
		for line := range strings.Lines(string(text)) {
			rows = append(rows, strings.Fields(line))
		}
		return rows, err
	}
	for _, name := range []string{"tcp", "tcp6"} {
		rows, err := table(name)
		if err != nil {
			return err
		}
		for _, row := range rows {
			const listening = "0A"
			if len(row) > 3 && row[3] == listening {
				items["socket "+name+" "+row[1]] = "listens"
			}
		}
	}
	rows, err := table("unix")
	if err != nil {
		return err
	}
	for _, row := range rows {
		const accepting = "00010000"
		if len(row) > 7 && row[3] == accepting {
			items["socket unix "+runNumber.ReplaceAllString(row[7], "domain-N-")] = "listens"
		}
	}
	return nil
}

// unstable are paths in which there is nothing to compare.
var unstable = []string{"/var/log", "/var/cache", "/run/lab"}

func (h *Host) addFiles(items map[string]string) error {
	root := h.Path("/")
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone while we looked
		}
		if err != nil {
			return err
		}
		name := "/" + strings.TrimPrefix(strings.TrimPrefix(path, strings.TrimSuffix(root, "/")), "/")
		if slices.Contains(unstable, name) {
			return filepath.SkipDir
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return ignoreMissing(err)
		}
		text := fmt.Sprintf("%v, owner %d:%d", d.Type()|fs.FileMode(st.Mode&0o7777), st.Uid, st.Gid)
		inRun := runNumber.MatchString(name)
		if d.Type().IsRegular() && !inRun && st.Size < 1<<20 {
			content, err := os.ReadFile(path)
			if err != nil {
				return ignoreMissing(err)
			}
			if strings.HasPrefix(name, "/etc/libvirt/qemu/") || strings.HasPrefix(name, "/run/libvirt/qemu/") {
				content = []byte(anyOrder(string(content)))
			}
			text += fmt.Sprintf(", %d bytes, %x", len(content), sha256.Sum256(content))
		}
		items["file "+runNumber.ReplaceAllString(name, "domain-N-")] = text
		return nil
	})
}

func (h *Host) addDomains(ctx context.Context, items map[string]string) error {
	names, err := h.Virsh(ctx, "list", "--all", "--name")
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(names) {
		var facts []string
		for _, ask := range [][]string{{"domstate", name, "--reason"}, {"dominfo", name}, {"domjobinfo", name}, {"dumpxml", name, "--security-info"}, {"dumpxml", name, "--inactive"}} {
			text, err := h.Virsh(ctx, ask...)
			// A transient domain has no inactive definition, one that is shut off no job.
			if err != nil {
				text = "no answer"
			}
			switch ask[0] {
			case "dominfo":
				facts = append(facts, keepLines(text, "Persistent:", "Autostart:", "Managed save:", "Title:"))
			case "dumpxml":
				facts = append(facts, fmt.Sprintf("%x", sha256.Sum256([]byte(anyOrder(text)))))
			case "domjobinfo":
				facts = append(facts, keepLines(text, "Job type:"))
			default:
				facts = append(facts, strings.TrimSpace(text))
			}
		}
		items["domain "+name] = strings.Join(facts, ", ")
	}
	for _, kind := range []string{"pool", "net", "secret", "nwfilter"} {
		text, err := h.Virsh(ctx, kind+"-list")
		if err != nil {
			return err
		}
		for line := range strings.Lines(text) {
			if line = strings.Join(strings.Fields(line), " "); line != "" {
				items["libvirt "+kind+" "+line] = "there"
			}
		}
	}
	return nil
}

// anyOrder is a description of a domain without what libvirt changes of itself when it writes it anew: the order of
// controllers, and an empty element where metadata were.
func anyOrder(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	slices.Sort(lines)
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return line == "<metadata/>" }), "\n")
}

// keepLines joins those lines of a text that begin with one of the given words.
func keepLines(text string, words ...string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(line, word) }) {
			kept = append(kept, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(kept, ", ")
}

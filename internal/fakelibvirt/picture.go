package fakelibvirt

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Picture is all that the hosts have, in words: two worlds of one picture cannot be told apart by any later run. What
// is only the name of an attempt, or a time, is left out.
func (w *World) Picture() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(w.daemons)) {
		d := w.daemons[name]
		for _, dom := range d.sorted() {
			fmt.Fprintf(&b, "%s %s %s", name, dom.name, dom.state())
			if dom.live != nil {
				switch behind := w.disks[dom.uuid].version - dom.live.memory; {
				case dom.live.memory == 0 && w.disks[dom.uuid].version > 0:
					b.WriteString(" empty")
				case behind > 0:
					b.WriteString(" old")
				}
				if dom.live.sent {
					b.WriteString(" sent")
				}
				if dom.live.held {
					b.WriteString(" held")
				}
				fmt.Fprintf(&b, " live%s", metadata(dom.live.metadata))
			}
			if dom.job != nil {
				fmt.Fprintf(&b, " job(in %v, phase %d, abort %v)", dom.job.incoming, dom.job.phase, dom.job.abort)
			}
			if dom.autostart {
				b.WriteString(" autostart")
			}
			if dom.config != nil {
				fmt.Fprintf(&b, " config%s", metadata(dom.config.metadata))
			}
			if dom.unsynced() {
				fmt.Fprintf(&b, " before%s", metadata(dom.before.metadata))
			}
			b.WriteString("\n")
		}
		for _, pool := range slices.Sorted(maps.Keys(d.pools)) {
			fmt.Fprintf(&b, "%s pool %s active %v\n", name, pool, d.pools[pool].active)
		}
	}
	return anonymous(b.String())
}

func metadata(m map[string]element) string {
	var b strings.Builder
	for _, namespace := range slices.Sorted(maps.Keys(m)) {
		b.WriteString(m[namespace].text)
	}
	return "[" + b.String() + "]"
}

var (
	attempts = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	passing  = regexp.MustCompile(` (controller|since)="[^"]*"`)
)

// anonymous numbers the UUIDs of attempts in their order, and leaves out who and when.
func anonymous(text string) string {
	text = passing.ReplaceAllString(text, "")
	seen := map[string]string{}
	return attempts.ReplaceAllStringFunc(text, func(id string) string {
		if strings.HasPrefix(id, "10ab0000") { // a host's
			return id
		}
		if seen[id] == "" {
			seen[id] = fmt.Sprintf("attempt-%d", len(seen)+1)
		}
		return seen[id]
	})
}

// Where says what of the guest each host has, for people.
func (w *World) Where(uuid string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var words []string
	for _, name := range slices.Sorted(maps.Keys(w.daemons)) {
		dom := w.daemons[name].domains[uuid]
		if dom == nil {
			continue
		}
		word := fmt.Sprintf("%s on %s", dom.state(), name)
		if dom.live != nil && dom.live.memory < w.disks[uuid].version {
			word += " with old memory"
		}
		if dom.config == nil {
			word += ", transient"
		}
		words = append(words, word)
	}
	return strings.Join(words, "; ")
}

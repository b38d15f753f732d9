package migration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
)

// chore is one thing that an interrupted attempt left to be done on one host. The guest itself stands still by then.
type chore struct {
	do choreKind
	// on is the host, nil for none.
	on *sighting
	// mark is the boot mark to be dropped.
	mark string
}

type choreKind int

const (
	// choreAutostart sets the flag that libvirt dropped with the source's definition.
	choreAutostart choreKind = iota
	// choreTransient removes the definition of a guest that had none.
	choreTransient
	// choreUndefine removes a definition that is of no use to anybody: a stub, or the source's of a guest that moved.
	choreUndefine
	// choreClear removes a record.
	choreClear
)

// chores is pure: it says what an interrupted attempt left to be done around a guest that stands still, and in what
// order. The guest's own record goes last: while it is there, every later run does the rest.
func chores(v view) []chore {
	var list []chore
	clean := true
	for i := range v.found {
		other := &v.found[i]
		if other.self == v.at.self {
			continue
		}
		m := other.move
		switch {
		case other.part() == partStub:
			list = append(list, chore{choreUndefine, other, m.ToBoot})
		case other.part() != partDefinition || m == nil:
		case m.Role == journal.Awaited:
			list = append(list, chore{choreClear, other, m.ToBoot})
		case m.Role == journal.Leaving && other.isSource():
			if !movedFrom(v, *m) {
				list = append(list, chore{do: choreClear, on: other})
			} else if v.situation == sitSettled || m.DefinitionOnly || v.at.move.Role == journal.Arrived {
				list = append(list, chore{do: choreUndefine, on: other})
			} else {
				clean = false // two definitions, and nothing shows which of them is the guest
			}
		case v.situation == sitShutOff && other.isArrival() && v.at.move != nil && v.at.move.Attempt == m.Attempt:
			clean = false // the same
		}
	}
	m := v.at.move
	if m == nil {
		return list
	}
	if v.at.isArrival() {
		if _, silent := silentDaemon(v, m.From); silent {
			clean = false
		}
		switch {
		case m.Transient && v.at.persistent && v.at.id.Active() && clean:
			list = append(list, chore{do: choreTransient, on: v.at})
		case m.Autostart && v.at.persistent:
			list = append(list, chore{do: choreAutostart, on: v.at})
		}
	}
	if clean {
		list = append(list, chore{choreClear, v.at, m.ToBoot})
	}
	return list
}

// movedFrom says that the guest stands where this record's attempt brought it.
func movedFrom(v view, m journal.Move) bool {
	return v.at.isArrival() && v.at.move.Attempt == m.Attempt
}

// silentDaemon says that a daemon is not among those that answered, and so may hold anything.
func silentDaemon(v view, d journal.Daemon) (key string, silent bool) {
	for id, keys := range v.inv.groups {
		if id.daemon() == d {
			_, silent := v.silent[keys[0]]
			return keys[0], silent
		}
	}
	return "", true
}

// tidy does the chores that interrupted attempts left around a guest that stands still, and deletes their files. What it
// could not do is an error, and the records stay for the next run.
func (f *Fleet) tidy(ctx context.Context, v view) (notes []string, err error) {
	fail := func(err error, hint string) ([]string, error) {
		words, at := v.where()
		return notes, &Error{Phase: PhaseLocate, Guest: v.id.Name, GuestAt: words, Host: at, Hint: hint, Err: err}
	}
	notes, err = f.tidyFiles(ctx, v)
	if err != nil {
		hint := "run the same again"
		if _, silent := silentHost(err); silent {
			hint = "run the same again when the host answers"
		}
		return fail(err, hint)
	}
	for _, c := range chores(v) {
		note, err := f.doChore(ctx, v, c)
		if err != nil {
			return fail(fmt.Errorf("finish on %s what an interrupted move left: %w", c.on.host(), err), "run the same again")
		}
		if note != "" {
			notes = append(notes, note)
		}
	}
	return notes, nil
}

func (f *Fleet) doChore(ctx context.Context, v view, c chore) (note string, err error) {
	d, _, err := f.members[c.on.host()].reach(ctx, true)
	if err != nil {
		return "", err
	}
	dropMark := func() bool {
		to, silent := silentDaemon(v, c.on.move.To)
		return c.mark == "" || silent || f.dropMark(ctx, to, c.mark)
	}
	if c.on == v.at && !dropMark() { // the record names it, and stays until it is gone
		return "", nil
	}
	switch c.do {
	case choreAutostart:
		err = d.SetAutostart(ctx, v.id.UUID, true)
		note = fmt.Sprintf("an interrupted move had not carried the autostart flag over to %s; it was set", c.on.host())
	case choreTransient:
		if err = d.Undefine(ctx, v.id.UUID); err == nil {
			c.on.persistent = false
		}
	case choreUndefine:
		note, err = f.undefineLeft(ctx, d, c.on)
	case choreClear:
		err = clearMove(ctx, d, v.id.UUID, c.on.formsOf()...)
	}
	if err != nil {
		return "", err
	}
	if c.on != v.at { // a token without its mark would be no proof for whoever may still be counting on it
		dropMark()
	}
	return note, nil
}

// undefineLeft removes a definition that an interrupted move left, if it is still what it was.
func (f *Fleet) undefineLeft(ctx context.Context, d daemon, left *sighting) (note string, err error) {
	now, err := readMove(ctx, d, left.id.UUID, host.FormConfig)
	if errors.Is(err, host.ErrNoDomain) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if now == nil || now.Attempt != left.move.Attempt || now.Role != left.move.Role {
		return "", nil // somebody has begun anew
	}
	switch id, err := d.Lookup(ctx, left.id.UUID); {
	case errors.Is(err, host.ErrNoDomain):
		return "", nil
	case err != nil:
		return "", err
	case id.Active():
		return "", fmt.Errorf("the guest was started from the definition on %s that an interrupted move left", left.host())
	}
	if err := d.Undefine(ctx, left.id.UUID); err != nil && !errors.Is(err, host.ErrNoDomain) {
		return "", err
	}
	if left.move.Stub {
		return "", nil
	}
	return fmt.Sprintf("an interrupted move had left a definition of the guest on %s; it was removed", left.host()), nil
}

// dropMark takes a boot mark away. It holds nothing, and is gone with the host's next restart at the latest.
func (f *Fleet) dropMark(ctx context.Context, key, mark string) bool {
	d, _, err := f.members[key].reach(ctx, true)
	if err == nil {
		err = d.DropBootMark(ctx, mark)
	}
	if err != nil {
		f.log.Debug("the mark of a boot is left", "host", key, "mark", mark, "error", err)
	}
	return err == nil
}

// oldImagesKept is for how long the wish to delete the source's images is believed: after that the user has had the
// time to choose anew.
const oldImagesKept = 7 * 24 * time.Hour

// fate is what becomes of one file that an interrupted attempt left.
type fate int

const (
	fateDelete fate = iota
	// fateForget: the guest runs on it, or it is to stay after all.
	fateForget
	// fateStay: nothing proves that it is of no use; it stays, and so does its record.
	fateStay
)

// fateOf is pure. keeper is the daemon on whose host the file and its record are.
func fateOf(v view, rec journal.Files, file journal.File, keeper journal.Daemon, now time.Time) fate {
	arrived := v.at.isArrival() && v.at.move.Attempt == rec.Attempt
	switch file.Kind {
	case journal.Probe:
		return fateDelete
	case journal.Made:
		if v.at.self == keeper {
			return fateForget
		}
		for _, s := range v.found {
			if s.self == keeper && s.provesNeverRan(rec.Attempt) {
				return fateDelete
			}
		}
		return fateStay
	case journal.Old:
		switch {
		case v.at.self == keeper, now.Sub(rec.Since) > oldImagesKept:
			return fateForget
		case arrived:
			return fateDelete
		}
	}
	return fateStay
}

// tidyFiles deals with the files that interrupted attempts left on any host.
func (f *Fleet) tidyFiles(ctx context.Context, v view) (notes []string, err error) {
	for key, domains := range v.inv.domains {
		for _, id := range domains {
			if !journal.IsFiles(id.Name) || id.Active() {
				continue
			}
			said, err := f.tidyRecord(ctx, v, key, id)
			notes = append(notes, said...)
			if err != nil {
				return notes, fmt.Errorf("delete what an interrupted move left on %s: %w", key, err)
			}
		}
	}
	return notes, nil
}

// tidyRecord deals with one record of files, if it is about this guest.
func (f *Fleet) tidyRecord(ctx context.Context, v view, key string, id host.DomainID) (notes []string, err error) {
	d, facts, err := f.members[key].reach(ctx, true)
	if err != nil {
		return nil, err
	}
	text, err := d.Metadata(ctx, id.UUID, journal.Namespace, host.FormConfig)
	if errors.Is(err, host.ErrNoMetadata) || errors.Is(err, host.ErrNoDomain) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	files, err := journal.ParseFiles(text)
	if err != nil || files.Guest != v.id.UUID {
		return nil, nil
	}
	self := journal.Daemon{UUID: facts.UUID, Hostname: facts.Hostname}
	rec := &filesRecord{daemon: d, id: id.UUID, files: files}
	rec.files.List = nil
	for _, file := range files.List {
		switch fateOf(v, files, file, self, time.Now()) {
		case fateForget:
			continue
		case fateStay:
			notes = append(notes, fmt.Sprintf("an interrupted move left %s on %s, and the guest may have run on it: delete it and the definition %s there if nobody needs it", file.Path, key, id.Name))
			rec.files.List = append(rec.files.List, file)
			continue
		}
		switch err := deleteUnused(ctx, d, file.Path, file.Kind); {
		case errors.Is(err, errInUse):
			notes = append(notes, fmt.Sprintf("an interrupted move left %s on %s, and it stays: %v", file.Path, key, err))
		case err != nil:
			return notes, err
		case file.Kind != journal.Probe:
			notes = append(notes, fmt.Sprintf("an interrupted move had left %s on %s; it was deleted", file.Path, key))
		}
	}
	if len(rec.files.List) == len(files.List) {
		return notes, nil
	}
	return notes, rec.save(ctx)
}

package faults

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// row is one fault at one moment of one kind of migration, and what came of it.
type row struct {
	Fault     string `json:"fault"`
	Moment    string `json:"moment"`
	Event     string `json:"event"`
	Transport string `json:"transport"`
	Control   string `json:"control"`
	// Outcome is what the controller said in the end, or that it was killed.
	Outcome string `json:"outcome"`
	// GuestRunningOn is the host on which the guest ran when the controller had ended and what a person mends was
	// mended; "none" when it was paused or gone.
	GuestRunningOn            string   `json:"guest_running_on"`
	CopiesRunningAfterFault   int      `json:"copies_running_after_fault"`
	CopiesRunningAfterNextRun int      `json:"copies_running_after_next_run"`
	Leftovers                 []string `json:"leftovers"`
	RecoveredByNextRun        bool     `json:"recovered_by_next_run"`
	NeedsAPerson              bool     `json:"needs_a_person"`
	// ExpectedLoss is why the guest could not survive, "" when it had to.
	ExpectedLoss string `json:"expected_loss"`
	// SecondsDown is the longest silence of the guest's heartbeat.
	SecondsDown float64 `json:"seconds_down"`
	// Passed says whether all of this was as it must be, or as an exception says.
	Passed bool `json:"passed"`
	// Exception names what differs from what is promised, and why; "" for nothing.
	Exception string `json:"exception,omitempty"`
}

func newRow(f fault, m moment, w way) row {
	return row{Fault: f.name, Moment: m.name, Event: m.event, Transport: string(w.transport), Control: string(w.control), ExpectedLoss: f.loss}
}

func (r row) key() string { return r.Fault + "/" + r.Moment + "/" + r.Transport + "/" + r.Control }

// resultsFile is below the root of the tree.
var resultsFile = filepath.Join("..", "..", "build", "faults", "results.json")

// read gives the rows that are in the file.
func read() (rows []row, err error) {
	text, err := os.ReadFile(resultsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &rows)
	}
	return rows, err
}

// keep puts a row into the file, in the place of an older one of the same key. Several runs may do so at once.
func keep(r row) error {
	if err := os.MkdirAll(filepath.Dir(resultsFile), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(resultsFile+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	rows, err := read()
	if err != nil {
		return err
	}
	rows = append(slices.DeleteFunc(rows, func(old row) bool { return old.key() == r.key() }), r)
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.key(), b.key()) })
	text, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	fresh := resultsFile + ".new"
	if err := os.WriteFile(fresh, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(fresh, resultsFile)
}

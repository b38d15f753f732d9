package migration

// Outcome is the end of a [Fleet.Migrate] that did not fail.
type Outcome struct {
	Location
	// Moved says whether the guest changed hosts in this call; Changed also counts a guest that was
	// recovered from an interrupted run.
	Moved   bool
	Changed bool
	// Plan is the decision the move was made by, with the hosts as they were found.
	Plan Plan
	// Result is nil when nothing moved.
	Result *Result
}

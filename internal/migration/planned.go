package migration

// Planned is what both faces show of a [Plan] before anything happens, under these names.
type Planned struct {
	// From and To are keys of hosts; equal when only an interrupted earlier run is brought to an end.
	From string `json:"from"`
	To   string `json:"to"`
	// Transport and Control are missing when guest memory does not travel.
	Transport Transport `json:"transport,omitempty"`
	Reason    string    `json:"reason"`
	Control   Control   `json:"control,omitempty"`
	// CopiedDisks are the target names of the disks that are copied.
	CopiedDisks []string `json:"copied_disks"`
}

// Planned returns nil when the plan changes nothing on any host.
func (p Plan) Planned() *Planned {
	if !p.Moves() {
		return nil
	}
	shown := Planned{From: p.From, To: p.To, Reason: p.Recovery, CopiedDisks: []string{}}
	if p.From != p.To {
		shown.Transport, shown.Control = p.Transport, p.Control
		shown.CopiedDisks = append(shown.CopiedDisks, p.recipe.params.MigrateDisks...)
		if shown.Reason != "" {
			shown.Reason += "; then: "
		}
		shown.Reason += p.Reason
	}
	return &shown
}

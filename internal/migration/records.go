package migration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
)

// readRecords completes a sighting with what its host keeps of a move of the guest.
func (s *sighting) readRecords(ctx context.Context, d daemon) (err error) {
	if s.id.Active() && !s.state.ShutOff() {
		if s.move, err = readMove(ctx, d, s.id.UUID, host.FormLive); err != nil {
			return err
		}
		if s.persistent {
			s.token, err = readMove(ctx, d, s.id.UUID, host.FormConfig)
		}
	} else {
		s.move, err = readMove(ctx, d, s.id.UUID, host.FormConfig)
	}
	if token := s.awaits(); err == nil && token != nil && token.ToBoot != "" {
		s.sameBoot, err = d.SameBoot(ctx, token.ToBoot)
	}
	return err
}

// readMove reads one record; nil where there is none, or what is there is none of ours.
func readMove(ctx context.Context, d daemon, uuid string, form host.Form) (*journal.Move, error) {
	text, err := d.Metadata(ctx, uuid, journal.Namespace, form)
	switch {
	case errors.Is(err, host.ErrNoMetadata), host.Code(err) == host.CodeNotSupported:
		return nil, nil
	case err != nil:
		return nil, err
	}
	m, err := journal.ParseMove(text)
	if err != nil {
		return nil, nil
	}
	return &m, nil
}

// writeMove writes a record into the given forms.
func writeMove(ctx context.Context, d daemon, uuid string, m journal.Move, forms ...host.Form) error {
	text, err := m.Encode()
	if err != nil {
		return err
	}
	return d.SetMetadata(ctx, uuid, journal.Prefix, journal.Namespace, text, forms...)
}

// clearMove removes the record from the given forms. A domain that is gone has none.
func clearMove(ctx context.Context, d daemon, uuid string, forms ...host.Form) error {
	err := d.SetMetadata(ctx, uuid, journal.Prefix, journal.Namespace, "", forms...)
	if errors.Is(err, host.ErrNoDomain) {
		return nil
	}
	return err
}

// formsOf are the forms that a sighting's domain has.
func (s sighting) formsOf() []host.Form {
	var forms []host.Form
	if s.id.Active() {
		forms = append(forms, host.FormLive)
	}
	if s.persistent {
		forms = append(forms, host.FormConfig)
	}
	return forms
}

// controllerName says who drives, for the records.
func controllerName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "a controller"
	}
	return fmt.Sprintf("%.200s (process %d)", name, os.Getpid())
}

// newRecord is the record of an attempt that is about to be made.
func (r *run) newRecord(source, destination host.Facts) journal.Move {
	return journal.Move{
		Attempt: journal.NewAttempt(), Role: journal.Leaving,
		From:      journal.Daemon{UUID: source.UUID, Hostname: source.Hostname},
		To:        journal.Daemon{UUID: destination.UUID, Hostname: destination.Hostname},
		Autostart: r.recipe.autostart, Transient: !r.recipe.persistent, DefinitionOnly: r.recipe.offline, Replaced: r.replaces,
		Controller: controllerName(), Since: time.Now(),
	}
}

// announce writes down what is about to be tried, before libvirt hears of it: first the token on the destination, then
// the guest's own record on the source. In that order, whoever reads its own attempt in begin's description knows that
// a token of its own was written before.
func (r *run) announce(ctx context.Context) error {
	mark, err := r.destination.BootMark(ctx, r.record.Attempt)
	if err != nil {
		r.log.Warn("the destination's boot cannot be marked: should this move be interrupted in its switchover, a person has to decide", "error", err)
	}
	r.record.ToBoot = mark
	r.announced = true
	if err := r.writeToken(ctx); err != nil {
		return fmt.Errorf("write the token of the move on %s: %w", r.plan.To, err)
	}
	if err := writeMove(ctx, r.source, r.id.UUID, r.record, r.sourceForms()...); err != nil {
		return fmt.Errorf("write the record of the move on %s: %w", r.plan.From, err)
	}
	return nil
}

// writeToken puts the token into the definition that the destination has, else into a stub.
func (r *run) writeToken(ctx context.Context) error {
	token := r.record
	token.Role = journal.Awaited
	if r.replaces {
		return writeMove(ctx, r.destination, r.id.UUID, token, host.FormConfig)
	}
	stub, err := journal.Stub(r.id.Name, r.id.UUID, r.machine(), token)
	if err != nil {
		return err
	}
	// a stub takes the place of whatever definition is there: somebody may have moved the guest meanwhile
	switch _, err := r.destination.Lookup(ctx, r.id.UUID); {
	case err == nil:
		return fmt.Errorf("%w: it is on %s by now", errChanged, r.plan.To)
	case !errors.Is(err, host.ErrNoDomain):
		return err
	}
	return r.destination.Define(ctx, stub)
}

// machine is what a definition of ours shares with the guest.
func (r *run) machine() journal.Machine {
	return journal.Machine{Type: r.guest.Type, Arch: r.guest.Arch, Name: r.guest.Machine, TPM: journal.TPMOf(r.guest.XML)}
}

// sourceForms are the forms that the guest has on the source.
func (r *run) sourceForms() []host.Form {
	var forms []host.Form
	if !r.recipe.offline {
		forms = append(forms, host.FormLive)
	}
	if r.recipe.persistent {
		forms = append(forms, host.FormConfig)
	}
	return forms
}

// errOvertaken: another controller has put its own record in the place of ours, and nothing of the guest has left.
var errOvertaken = errors.New("another controller has begun to move the guest")

// errChanged: what the plan was made for is not so any more, and nothing of the guest has left.
var errChanged = errors.New("the guest has changed since it was looked at")

// checkBegun looks at the guest under the job, with begin's description of it. One that its user has paused meanwhile has
// to arrive paused, and a half that another controller's move has left is not the guest any more.
func (r *run) checkBegun(ctx context.Context, xml string) error {
	if err := r.mustBeOurs(journal.MoveIn(xml)); err != nil {
		return err
	}
	now, err := r.source.State(ctx, r.id.UUID)
	if err != nil {
		return fmt.Errorf("look at the guest on %s: %w", r.plan.From, cause(ctx, err))
	}
	if now.PausedByMigration() || now.Incoming() || now.PausedByUser() != r.recipe.paused {
		return fmt.Errorf("%w: it is %s on %s by now", errChanged, now, r.plan.From)
	}
	return nil
}

// checkToken reads the token back once libvirt holds the destination's domain: from then on nobody can change it.
func (r *run) checkToken(ctx context.Context) error {
	token, err := readMove(ctx, r.destination, r.id.UUID, host.FormConfig)
	if err != nil {
		return fmt.Errorf("read the token of the move on %s: %w", r.plan.To, err)
	}
	if token == nil || token.Role != journal.Awaited || token.Attempt != r.record.Attempt {
		return fmt.Errorf("%w: the token on %s is not ours", errOvertaken, r.plan.To)
	}
	return nil
}

// tokenProves says that the token shows that the guest never ran on the destination: it is there, and no power cut can have
// brought it back.
func (r *run) tokenProves(ctx context.Context) bool {
	if r.record.ToBoot == "" || r.checkToken(ctx) != nil {
		return false
	}
	same, err := r.destination.SameBoot(ctx, r.record.ToBoot)
	return err == nil && same || switchedOff.boot
}

// checkRecord reads the guest's record back once libvirt holds its domain for the migration.
func (r *run) checkRecord(ctx context.Context) error {
	m, err := readMove(ctx, r.source, r.id.UUID, host.FormLive)
	if err != nil {
		return fmt.Errorf("read the record of the move on %s: %w", r.plan.From, err)
	}
	return r.mustBeOurs(m)
}

// mustBeOurs refuses a record of another attempt.
func (r *run) mustBeOurs(m *journal.Move) error {
	if (m == nil || m.Attempt != r.record.Attempt) && !switchedOff.record {
		return fmt.Errorf("%w: the record on %s is not ours", errOvertaken, r.plan.From)
	}
	return nil
}

// noteArrival says on the destination that finish has answered, so that whoever comes next may remove the source's half.
func (r *run) noteArrival(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), confirmPatience)
	defer cancel()
	arrived := r.record
	arrived.Role = journal.Arrived
	if err := writeMove(ctx, r.destination, r.id.UUID, arrived, host.FormLive, host.FormConfig); err != nil {
		r.log.Warn("the guest's arrival could not be noted on the destination", "error", err)
	}
}

// retract takes the attempt's record and token back, for a guest that did not move. neverRan: it is proved that its
// copy was never let run, so that a definition that finish wrote is no trace of the guest.
func (r *run) retract(ctx context.Context, neverRan bool) error {
	if !r.announced {
		return nil
	}
	if err := r.destination.DropBootMark(ctx, r.record.ToBoot); err != nil { // the records name it, and so stay as well
		return fmt.Errorf("remove the mark of the boot of %s: %w", r.plan.To, err)
	}
	var errs []error
	there, err := readMove(ctx, r.destination, r.id.UUID, host.FormConfig)
	switch {
	case errors.Is(err, host.ErrNoDomain):
	case err != nil:
		errs = append(errs, err)
	case there == nil || there.Attempt != r.record.Attempt:
	case there.Role == journal.Awaited && there.Stub, neverRan && !r.replaces && there.Role == journal.Leaving:
		errs = append(errs, r.undefineIdle(ctx, r.destination))
	case there.Role == journal.Awaited, neverRan && r.replaces:
		errs = append(errs, clearMove(ctx, r.destination, r.id.UUID, host.FormConfig))
	}
	here, err := readMove(ctx, r.source, r.id.UUID, r.sourceForms()[0])
	switch {
	case errors.Is(err, host.ErrNoDomain):
	case err != nil:
		errs = append(errs, err)
	case here != nil && here.Attempt == r.record.Attempt:
		errs = append(errs, clearMove(ctx, r.source, r.id.UUID, r.sourceForms()...))
	}
	return errors.Join(errs...)
}

// undefineIdle removes a definition that no instance runs from.
func (r *run) undefineIdle(ctx context.Context, d daemon) error {
	now, err := d.Lookup(ctx, r.id.UUID)
	if err == nil && now.Active() {
		return fmt.Errorf("the guest's definition on %s has a running instance", r.plan.To)
	}
	if err == nil {
		err = d.Undefine(ctx, r.id.UUID)
	}
	if errors.Is(err, host.ErrNoDomain) {
		return nil
	}
	return err
}

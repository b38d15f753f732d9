package host

import (
	"context"
	"time"

	libvirt "github.com/digitalocean/go-libvirt"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/terminal"
)

// Job is what the domain is being put through just now. At the destination of a migration there are no
// figures, only the kind.
func (h *Host) Job(ctx context.Context, uuid string) (Job, error) {
	j, err := h.jobStats(ctx, uuid, 0)
	if Code(err) == CodeUnsupported {
		return Job{Kind: JobMigrationIn}, nil
	}
	return j, err
}

// CompletedJob is the domain's last job that ended well, JobNone when there is none. The daemon keeps the
// figures.
func (h *Host) CompletedJob(ctx context.Context, uuid string) (Job, error) {
	return h.jobStats(ctx, uuid, libvirt.DomainJobStatsCompleted|libvirt.DomainJobStatsKeepCompleted)
}

func (h *Host) jobStats(ctx context.Context, uuid string, flags libvirt.DomainGetJobStatsFlags) (Job, error) {
	return askDomain(ctx, h, "read the job of", uuid, jobLimit, func(l *libvirt.Libvirt, d libvirt.Domain) (Job, error) {
		kind, params, err := l.DomainGetJobStats(d, flags)
		if err != nil {
			return Job{}, err
		}
		j := readJob(kind, params)
		j.At = time.Now()
		return j, nil
	})
}

// readJob decodes typed parameters, of which a daemon may send any, of any type.
func readJob(kind int32, params []libvirt.TypedParam) Job {
	var j Job
	switch libvirt.DomainJobType(kind) {
	case libvirt.DomainJobNone:
		return j
	case libvirt.DomainJobFailed, libvirt.DomainJobCancelled:
		// Figures of something that did not happen would be taken for those of what did.
		for _, p := range params {
			if s, ok := p.Value.I.(string); ok && p.Field == "errmsg" {
				j.ErrorMessage = terminal.Line(s)
			}
		}
		return j
	}
	j.Kind = JobOther
	figures := map[string]**uint64{
		"time_elapsed":      &j.ElapsedMS,
		"time_elapsed_net":  &j.ElapsedNetMS,
		"downtime":          &j.DowntimeMS,
		"downtime_net":      &j.DowntimeNetMS,
		"setup_time":        &j.SetupMS,
		"memory_total":      &j.MemoryTotalBytes,
		"memory_processed":  &j.MemoryProcessedBytes,
		"memory_remaining":  &j.MemoryRemainingBytes,
		"memory_bps":        &j.MemoryBytesPerSecond,
		"disk_total":        &j.DiskTotalBytes,
		"disk_processed":    &j.DiskProcessedBytes,
		"disk_remaining":    &j.DiskRemainingBytes,
		"memory_dirty_rate": &j.DirtyPagesPerSecond,
		"memory_page_size":  &j.PageSizeBytes,
		"memory_iteration":  &j.Iterations,
	}
	for _, p := range params {
		if p.Field == "errmsg" {
			if s, ok := p.Value.I.(string); ok {
				j.ErrorMessage = terminal.Line(s)
			}
			continue
		}
		n, ok := unsigned(p.Value.I)
		if !ok {
			continue
		}
		if p.Field == "operation" {
			switch libvirt.DomainJobOperation(n) {
			case libvirt.DomainJobOperationStrMigrationOut:
				j.Kind = JobMigrationOut
			case libvirt.DomainJobOperationStrMigrationIn:
				j.Kind = JobMigrationIn
			}
			continue
		}
		if f := figures[p.Field]; f != nil {
			*f = &n
		}
	}
	return j
}

// unsigned reads an integer of whatever width; negative ones are no figures.
func unsigned(v any) (uint64, bool) {
	switch n := v.(type) {
	case int32:
		return uint64(n), n >= 0
	case uint32:
		return uint64(n), true
	case int64:
		return uint64(n), n >= 0
	case uint64:
		return n, true
	}
	return 0, false
}

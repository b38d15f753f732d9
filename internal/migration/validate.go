package migration

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// OptionError is what is wrong with one option.
type OptionError struct {
	// Option is its name in [Options]; one of Convergence is "convergence.NAME".
	Option string
	// OutOfRange: the option cannot have this value, whatever the others are.
	OutOfRange bool
	text       string
}

func (e *OptionError) Error() string { return e.text }

// Validate checks all that can be checked without a host. It changes nothing. The error has all of [Options.Mistakes].
func (o Options) Validate() (err error) {
	for _, mistake := range o.Mistakes() {
		if err == nil {
			err = mistake
		} else {
			err = fmt.Errorf("%w; %w", err, mistake)
		}
	}
	return err
}

// Mistakes are all that is wrong with the options, as far as no host has to be asked: one for each option.
func (o Options) Mistakes() []*OptionError {
	var found mistakes
	o.findOutOfRange(&found)
	o.findTransport(&found)
	o.findConvergence(&found)
	o.findTunnel(&found)
	o.findRelay(&found)
	o.findNames(&found)
	o.findStorage(&found)
	return found
}

type mistakes []*OptionError

// has says whether something is wrong with an option already.
func (m mistakes) has(option string) bool {
	return slices.ContainsFunc(m, func(e *OptionError) bool { return e.Option == option })
}

// add notes a mistake. A second one of an option would mostly be a consequence of the first.
func (m *mistakes) add(option, format string, args ...any) {
	if !m.has(option) {
		*m = append(*m, &OptionError{Option: option, text: option + " " + fmt.Sprintf(format, args...)})
	}
}

// within refuses a number that is out of its range. 0 stands for the default.
func (m *mistakes) within(option string, n, least, most int64) {
	if n != 0 && (n < least || n > most) {
		m.add(option, "is %d, but must be %d to %d", n, least, most)
		(*m)[len(*m)-1].OutOfRange = true
	}
}

// oneOf refuses a word that is none of an option's. "" stands for the default.
func oneOf[T ~string](m *mistakes, option string, word T, words []T) {
	if word != "" && !slices.Contains(words, word) {
		m.add(option, "%q is not one of %s", word, quoted(words))
		(*m)[len(*m)-1].OutOfRange = true
	}
}

func quoted[T ~string](values []T) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprintf("%q", string(v))
	}
	return strings.Join(words, ", ")
}

func (o Options) findOutOfRange(m *mistakes) {
	c := o.Convergence
	oneOf(m, "transport", o.Transport, Transports)
	oneOf(m, "control", o.Control, Controls)
	m.within("parallel_connections", int64(o.ParallelConnections), 1, MaxParallelConnections)
	if o.BandwidthMiBPerSecond > MaxBandwidthMiBPerSecond { // more than a signed number may have
		m.add("bandwidth_mib_per_second", "is %d, but must be at most %d",
			o.BandwidthMiBPerSecond, uint64(MaxBandwidthMiBPerSecond))
		(*m)[len(*m)-1].OutOfRange = true
	}
	m.within("max_downtime_ms", o.MaxDowntimeMS, 1, MaxMaxDowntimeMS)
	m.within("blackout_timeout_ms", o.BlackoutTimeoutMS, MinBlackoutTimeoutMS, MaxBlackoutTimeoutMS)
	m.within("convergence.timeout_seconds_per_gib", c.TimeoutSecondsPerGiB, 1, MaxTimeoutSecondsPerGiB)
	m.within("convergence.stall_seconds", c.StallSeconds, 1, MaxStallSeconds)
	m.within("convergence.downtime_steps", int64(c.DowntimeSteps), 0, MaxDowntimeSteps)
	oneOf(m, "convergence.on_timeout", c.OnTimeout, OnTimeouts)
	oneOf(m, "acknowledge", o.Acknowledge, Acknowledges)
	oneOf(m, "compression", o.Compression, Compressions)
	m.within("reconnect_seconds", o.ReconnectSeconds, 1, MaxReconnectSeconds)
	m.within("chunk_kib", int64(o.ChunkKiB), MinChunkKiB, MaxChunkKiB)
	oneOf(m, "storage", o.Storage, Storages)
	oneOf(m, "source_images", o.SourceImages, SourceImagesValues)
	oneOf(m, "existing_images", o.ExistingImages, ExistingImagesValues)
}

func (o Options) findTransport(m *mistakes) {
	if o.Transport == TransportPlain && !o.AllowPlain {
		m.add("transport", "%q sends guest memory unencrypted and is refused unless allow_plain is true", o.Transport)
	}
	if o.ParallelConnections == 1 && (o.Transport == "" || o.Transport == TransportAuto || o.Transport == TransportTLS) {
		m.add("parallel_connections", "is 1, but transport tls needs at least 2: "+
			"QEMU before 10.1 can crash after 64 GB on one encrypted connection")
	}
}

func (o Options) findConvergence(m *mistakes) {
	c := o.Convergence
	if c.OnTimeout == OnTimeoutPostCopy && o.ParallelConnections > 1 {
		m.add("convergence.on_timeout", "is %q, but QEMU fetches pages over one connection, and parallel_connections is %d",
			c.OnTimeout, o.ParallelConnections)
	}
	if c.OnTimeout == OnTimeoutPostCopy && (o.Transport == TransportTLS || o.Transport == TransportTunnel) {
		m.add("convergence.on_timeout", "is %q, which transport %q cannot do; choose transport relay",
			c.OnTimeout, o.Transport)
	}
	if m.has("max_downtime_ms") || m.has("convergence.downtime_steps") {
		return
	}
	most := o.withDefaults().MaxDowntimeMS << c.DowntimeSteps
	if most > MaxMaxDowntimeMS {
		m.add("convergence.downtime_steps", "is %d, which would double max_downtime_ms up to %d ms, but QEMU allows %d",
			c.DowntimeSteps, most, MaxMaxDowntimeMS)
	} else if o.BlackoutTimeoutMS != 0 && o.BlackoutTimeoutMS <= most {
		m.add("blackout_timeout_ms", "is %d, but must be more than the downtime that is allowed, which is up to %d ms",
			o.BlackoutTimeoutMS, most)
	}
}

func (o Options) findTunnel(m *mistakes) {
	if o.Transport != TransportTunnel {
		return
	}
	if o.Control == ControlController {
		m.add("control", "is %q, but a tunnel leads from daemon to daemon and is always %s", o.Control, ControlPeerToPeer)
	}
	if o.ParallelConnections > 1 {
		m.add("parallel_connections", "is %d, but a tunnel is always one connection", o.ParallelConnections)
	}
	if o.copies() {
		m.add("storage", "is %q, but libvirt cannot copy disks through a tunnel; choose transport tls", o.Storage)
	}
}

func (o Options) findRelay(m *mistakes) {
	switch o.Transport {
	case TransportRelay:
		if o.ParallelConnections > MaxRelayConnections {
			m.add("parallel_connections", "is %d, but must be 1 to %d over the relay",
				o.ParallelConnections, MaxRelayConnections)
		}
	case TransportTLS, TransportTunnel, TransportPlain:
		if o.Acknowledge != "" {
			m.add("acknowledge", "is %q, but only the relay acknowledges, and transport is %q", o.Acknowledge, o.Transport)
		}
		if o.Compression == CompressionZstd {
			m.add("compression", "is %q, but only the relay compresses, and transport is %q", o.Compression, o.Transport)
		}
		if o.ReconnectSeconds != 0 {
			m.add("reconnect_seconds", "is %d, but only the relay goes on over a broken connection, and transport is %q",
				o.ReconnectSeconds, o.Transport)
		}
		if o.ChunkKiB != 0 {
			m.add("chunk_kib", "is %d, but only the relay sends chunks, and transport is %q", o.ChunkKiB, o.Transport)
		}
	}
}

// findNames checks the names of disks and of the file on this machine.
func (o Options) findNames(m *mistakes) {
	for _, list := range []struct {
		option  string
		targets []string
	}{{"migrate_disks", o.MigrateDisks}, {"assume_shared_disks", o.AssumeSharedDisks}} {
		for i, target := range list.targets {
			switch {
			case !diskTarget.MatchString(target):
				m.add(list.option, "has %q, which is no disk of a guest; name each disk by its target, such as vda", target)
			case slices.Contains(list.targets[:i], target):
				m.add(list.option, "has %q, which stands there twice; name each disk once", target)
			}
		}
	}
	for _, target := range o.AssumeSharedDisks {
		if slices.Contains(o.MigrateDisks, target) {
			m.add("assume_shared_disks", "has %q, and so has migrate_disks: a disk is either shared or copied", target)
		}
	}
	if strings.ContainsFunc(o.ProgressFile, unicode.IsControl) {
		m.add("progress_file", "is %q, which has a control character in it", o.ProgressFile)
	}
}

func (o Options) findStorage(m *mistakes) {
	if o.copies() || m.has("storage") {
		return
	}
	if len(o.MigrateDisks) > 0 {
		m.add("migrate_disks", "is %q, disks to copy, but storage is not %q or %q",
			o.MigrateDisks, StorageCopy, StorageCopyIncremental)
	}
	if o.SourceImages == SourceImagesDelete {
		m.add("source_images", "is %q, but without storage %q or %q there is no other copy of them",
			o.SourceImages, StorageCopy, StorageCopyIncremental)
	}
	if o.ExistingImages == ExistingImagesOverwrite {
		m.add("existing_images", "is %q, but without storage %q or %q nothing is written",
			o.ExistingImages, StorageCopy, StorageCopyIncremental)
	}
}

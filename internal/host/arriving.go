package host

import (
	"context"

	libvirt "github.com/digitalocean/go-libvirt"
)

// Arriving are the domains that are on their way to this host, or wait here for their last moment.
func (h *Host) Arriving(ctx context.Context) ([]DomainID, error) {
	return ask(ctx, h, "ask which guests are arriving", callLimit, func(l *libvirt.Libvirt) ([]DomainID, error) {
		const states, active = 1, 1 // VIR_DOMAIN_STATS_STATE, VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
		all, err := l.ConnectGetAllDomainStats(nil, states, active)
		if err != nil {
			return nil, err
		}
		var arriving []DomainID
		for _, record := range all {
			var s State
			for _, p := range record.Params {
				n, _ := p.Value.I.(int32)
				switch p.Field {
				case "state.state":
					s.State = int(n)
				case "state.reason":
					s.Reason = int(n)
				}
			}
			if s.Incoming() || s.PausedByMigration() {
				arriving = append(arriving, identify(record.Dom))
			}
		}
		return arriving, nil
	})
}

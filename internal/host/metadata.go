package host

import (
	"context"
	"errors"

	libvirt "github.com/digitalocean/go-libvirt"
)

// ErrNoMetadata marks the answer of a daemon that a domain has no element of the namespace asked for, or no such form.
var ErrNoMetadata = errors.New("no such metadata")

// Form is one of the two forms of a domain's description.
type Form int

// The forms.
const (
	// FormLive is the running instance's.
	FormLive Form = iota
	// FormConfig is that of the persistent definition.
	FormConfig
)

func (f Form) impact() libvirt.DomainModificationImpact {
	if f == FormLive {
		return libvirt.DomainAffectLive
	}
	return libvirt.DomainAffectConfig
}

// Metadata reads the element of a namespace from one form of a domain's description. The daemon answers also while a
// job holds the domain. ErrNoMetadata: there is none, or the domain does not have that form. ErrNoDomain: no such domain.
func (h *Host) Metadata(ctx context.Context, uuid, namespace string, form Form) (string, error) {
	text, err := askDomain(ctx, h, "read the metadata of", uuid, callLimit, func(l *libvirt.Libvirt, d libvirt.Domain) (string, error) {
		return l.DomainGetMetadata(d, int32(libvirt.DomainMetadataElement), libvirt.OptString{namespace}, form.impact())
	})
	var e *Error
	if errors.As(err, &e) && (e.Code == CodeNoDomainMetadata || e.Code == CodeOperationInvalid) {
		e.Err = ErrNoMetadata
	}
	return text, err
}

// SetMetadata writes the element of a namespace into all the given forms of a domain's description; an empty text
// removes it. The daemon waits for a job of the domain for 30 s, and then refuses.
func (h *Host) SetMetadata(ctx context.Context, uuid, prefix, namespace, text string, forms ...Form) error {
	var impact libvirt.DomainModificationImpact
	for _, f := range forms {
		impact |= f.impact()
	}
	var element, key libvirt.OptString
	if text != "" {
		element, key = libvirt.OptString{text}, libvirt.OptString{prefix}
	}
	return tellDomain(ctx, h, "write the metadata of", uuid, jobLimit, func(l *libvirt.Libvirt, d libvirt.Domain) error {
		return l.DomainSetMetadata(d, int32(libvirt.DomainMetadataElement), element, key, libvirt.OptString{namespace}, impact)
	})
}

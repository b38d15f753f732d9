package fakelibvirt

import (
	"maps"

	"github.com/beevik/etree"
	libvirt "github.com/digitalocean/go-libvirt"
)

// forms are the descriptions of a domain that the flags mean.
func (dom *domain) forms(flags libvirt.DomainModificationImpact) (list []*description, err error) {
	live, config := flags&libvirt.DomainAffectLive != 0, flags&libvirt.DomainAffectConfig != 0
	if !live && !config {
		live, config = dom.live != nil, dom.live == nil
	}
	switch {
	case live && dom.live == nil:
		return nil, invalid("domain is not running")
	case config && dom.config == nil:
		return nil, invalid("transient domains do not have any persistent config")
	}
	if live {
		list = append(list, &dom.live.description)
	}
	if config {
		list = append(list, dom.config)
	}
	return list, nil
}

// getMetadata does not wait for a job.
func getMetadata(c *client, a libvirt.DomainGetMetadataArgs) (r libvirt.DomainGetMetadataRet, err error) {
	dom, err := c.daemon.find(a.Dom)
	if err != nil {
		return r, err
	}
	forms, err := dom.forms(a.Flags)
	if err != nil {
		return r, err
	}
	if len(a.Uri) != 1 {
		return r, fail(libvirt.ErrInvalidArg, "invalid argument: the fake keeps elements alone")
	}
	found, has := forms[0].metadata[a.Uri[0]]
	if !has {
		return r, fail(libvirt.ErrNoDomainMetadata, "metadata not found: Requested metadata element is not present")
	}
	r.Metadata = found.text
	return r, nil
}

// setMetadata waits for a job, whichever: also that of a migration that is on its way in.
func setMetadata(c *client, a libvirt.DomainSetMetadataArgs) (none, error) {
	dom, err := c.free(a.Dom)
	if err != nil {
		return none{}, err
	}
	forms, err := dom.forms(a.Flags)
	if err != nil {
		return none{}, err
	}
	if len(a.Uri) != 1 || len(a.Metadata) != len(a.Key) {
		return none{}, fail(libvirt.ErrInvalidArg, "invalid argument: the fake keeps elements alone")
	}
	written := element{}
	if len(a.Metadata) == 1 {
		doc := etree.NewDocument()
		if err := doc.ReadFromString(a.Metadata[0]); err != nil || doc.Root() == nil {
			return none{}, fail(libvirt.ErrXMLError, "XML error: (metadata_xml): %v", err)
		}
		text, err := plain(doc.Root())
		if err != nil {
			return none{}, err
		}
		written = element{a.Key[0], text}
	}
	for _, form := range forms {
		if form == dom.config {
			dom.rewrite()
		}
		form.metadata = maps.Clone(form.metadata)
		if len(a.Metadata) == 0 {
			delete(form.metadata, a.Uri[0])
		} else {
			form.metadata[a.Uri[0]] = written
		}
	}
	return none{}, nil
}

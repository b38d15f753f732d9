package fakelibvirt

import (
	"fmt"
	"maps"
	"slices"

	"github.com/beevik/etree"
	libvirt "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"
)

// description is a domain's XML, with its metadata apart.
type description struct {
	name, uuid string
	// text has no metadata. metadata is by namespace, each without it.
	text     string
	metadata map[string]element
}

// element is one element of metadata.
type element struct{ prefix, text string }

func (d description) clone() description {
	d.metadata = maps.Clone(d.metadata)
	return d
}

// parse reads a description as libvirt's clients send it.
func parse(text string) (description, error) {
	doc := etree.NewDocument()
	bad := func(err error) (description, error) {
		return description{}, fail(libvirt.ErrXMLError, "XML error: %v", err)
	}
	if err := doc.ReadFromString(text); err != nil {
		return bad(err)
	}
	root := doc.Root()
	if root == nil || root.Tag != "domain" || root.SelectElement("name") == nil {
		return bad(fmt.Errorf("no domain with a name"))
	}
	d := description{name: root.SelectElement("name").Text(), metadata: map[string]element{}}
	if id := root.SelectElement("uuid"); id != nil {
		d.uuid = id.Text()
	} else {
		d.uuid = uuid.NewString()
	}
	if _, err := uuid.Parse(d.uuid); err != nil {
		return bad(err)
	}
	if m := root.SelectElement("metadata"); m != nil {
		for _, e := range m.ChildElements() {
			namespace := e.NamespaceURI()
			inner, err := plain(e)
			if err != nil {
				return bad(err)
			}
			d.metadata[namespace] = element{e.Space, inner}
		}
		root.RemoveChild(m)
	}
	root.RemoveAttr("id")
	var err error
	d.text, err = doc.WriteToString()
	return d, err
}

// plain is an element without its namespace, as libvirt gives it to those who ask for metadata.
func plain(e *etree.Element) (string, error) {
	c := e.Copy()
	for _, in := range append([]*etree.Element{c}, c.FindElements(".//*")...) {
		in.Space = ""
		in.Attr = slices.DeleteFunc(in.Attr, func(a etree.Attr) bool { return a.Space == "xmlns" || a.Key == "xmlns" })
	}
	doc := etree.NewDocument()
	doc.SetRoot(c)
	return doc.WriteToString()
}

// XML is the whole description; id is that of a running instance, below 0 for none.
func (d description) XML(id int32) (string, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(d.text); err != nil {
		return "", err
	}
	root := doc.Root()
	if id >= 0 {
		root.CreateAttr("id", fmt.Sprint(id))
	}
	if len(d.metadata) == 0 {
		return doc.WriteToString()
	}
	m := etree.NewElement("metadata")
	for _, namespace := range slices.Sorted(maps.Keys(d.metadata)) {
		stored := d.metadata[namespace]
		inner := etree.NewDocument()
		if err := inner.ReadFromString(stored.text); err != nil {
			return "", err
		}
		e := inner.Root()
		e.CreateAttr("xmlns:"+stored.prefix, namespace)
		for _, in := range append([]*etree.Element{e}, e.FindElements(".//*")...) {
			in.Space = stored.prefix
		}
		m.AddChild(e)
	}
	root.InsertChildAt(root.SelectElement("name").Index()+1, m)
	return doc.WriteToString()
}

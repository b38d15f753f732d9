package journal

import (
	"fmt"
	"strings"

	"github.com/beevik/etree"
	"github.com/google/uuid"
)

// Machine is what a definition of ours needs so that the daemon accepts it, and what the guest's stub must share with
// the guest.
type Machine struct {
	// Type is the hypervisor's kind, "kvm" or "qemu"; Arch and Name are of the machine type.
	Type, Arch, Name string
	// TPM is the guest's <tpm> element, empty for none. While a definition has it, libvirt keeps the TPM's state:
	// without one, a failed incoming migration deletes it, and with it that of the guest where the folder is shared.
	TPM string
}

// Stub is a definition of the guest's name and UUID that cannot run anything: it has no disk and no interface.
func Stub(name, id string, m Machine, token Move) (string, error) {
	token.Role, token.Stub = Awaited, true
	record, err := token.Encode()
	if err != nil {
		return "", err
	}
	return definition(name, id, "virtmigrate: a guest of this name is on its way here", m, record)
}

// FilesDefinition is the definition that holds f, and its UUID.
func FilesDefinition(f Files, guest string, m Machine) (text, id string, err error) {
	record, err := f.Encode()
	if err != nil {
		return "", "", err
	}
	m.TPM = ""
	id = uuid.NewString()
	title := fmt.Sprintf("virtmigrate: files of a move of guest %s that are still to be deleted", guest)
	text, err = definition(FilesPrefix+id[:8], id, title, m, record)
	return text, id, err
}

// IsFiles says whether a domain's name is one of a definition that holds [Files].
func IsFiles(name string) bool { return strings.HasPrefix(name, FilesPrefix) }

func definition(name, id, title string, m Machine, record string) (string, error) {
	doc := etree.NewDocument()
	domain := doc.CreateElement("domain")
	domain.CreateAttr("type", m.Type)
	text := func(parent *etree.Element, tag, value string) *etree.Element {
		e := parent.CreateElement(tag)
		e.SetText(value)
		return e
	}
	text(domain, "name", name)
	text(domain, "uuid", id)
	text(domain, "title", title)
	if err := Embed(domain, record, Namespace); err != nil {
		return "", err
	}
	text(domain, "memory", "1").CreateAttr("unit", "MiB")
	text(domain, "vcpu", "1")
	kind := text(domain.CreateElement("os"), "type", "hvm")
	kind.CreateAttr("arch", m.Arch)
	kind.CreateAttr("machine", m.Name)
	devices := domain.CreateElement("devices")
	usb := devices.CreateElement("controller")
	usb.CreateAttr("type", "usb")
	usb.CreateAttr("model", "none")
	devices.CreateElement("memballoon").CreateAttr("model", "none")
	if m.TPM != "" {
		if _, err := child(devices, m.TPM); err != nil {
			return "", err
		}
	}
	return doc.WriteToString()
}

// Embed puts a record into the description of a domain that is being written.
func Embed(domain *etree.Element, record, namespace string) error {
	element, err := child(domain.CreateElement("metadata"), record)
	if err != nil {
		return err
	}
	element.Space = Prefix
	element.CreateAttr("xmlns:"+Prefix, namespace)
	for _, e := range element.FindElements(".//*") {
		e.Space = Prefix
	}
	return nil
}

// child adds an element that is at hand as text.
func child(parent *etree.Element, text string) (*etree.Element, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(text); err != nil {
		return nil, err
	}
	root := doc.Root()
	if root == nil {
		return nil, fmt.Errorf("%q has no element", text)
	}
	parent.AddChild(root)
	return root, nil
}

// TPMOf cuts the <tpm> element out of a domain's description; empty where there is none, or where the description
// cannot be read.
func TPMOf(description string) string {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(description); err != nil {
		return ""
	}
	tpm := doc.FindElement("./domain/devices/tpm")
	if tpm == nil {
		return ""
	}
	if alias := tpm.SelectElement("alias"); alias != nil { // of the running instance
		tpm.RemoveChild(alias)
	}
	cut := etree.NewDocument()
	cut.SetRoot(tpm.Copy())
	text, err := cut.WriteToString()
	if err != nil {
		return ""
	}
	return text
}

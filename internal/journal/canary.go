package journal

import (
	"encoding/xml"
	"fmt"
	"time"
)

// CanaryNamespace is that of a [Canary], which carries a [Move] as well while it moves.
const CanaryNamespace = Namespace + "/canary"

// Canary is the record that a guest of ours carries which tries the way between two hosts, and is of no use afterwards.
type Canary struct {
	Controller string
	Since      time.Time
}

type canaryXML struct {
	XMLName    xml.Name `xml:"canary"`
	Controller string   `xml:"controller,attr"`
	Since      string   `xml:"since,attr"`
}

// Encode writes the record as the element that libvirt is given.
func (c Canary) Encode() (string, error) {
	if err := plain(c.Controller, maxText); err != nil {
		return "", err
	}
	return encode(canaryXML{Controller: c.Controller, Since: c.Since.UTC().Format(time.RFC3339)})
}

// ParseCanary reads a record as libvirt's metadata call gives it. Anything else is an error.
func ParseCanary(text string) (Canary, error) {
	if len(text) > maxMove {
		return Canary{}, fmt.Errorf("%w: %d bytes", errRecord, len(text))
	}
	var x canaryXML
	if err := xml.Unmarshal([]byte(text), &x); err != nil {
		return Canary{}, fmt.Errorf("%w: %w", errRecord, err)
	}
	since, err := time.Parse(time.RFC3339, x.Since)
	if err != nil {
		return Canary{}, fmt.Errorf("%w: since: %w", errRecord, err)
	}
	return Canary{x.Controller, since}, plain(x.Controller, maxText)
}

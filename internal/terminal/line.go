// Package terminal makes what others wrote fit to be shown. The words of a libvirt daemon, a shell or a relay end in
// errors, logs and diagnostics, and so on somebody's terminal, which takes some characters for orders.
package terminal

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line is s as one line of characters that have a shape of their own. White space of all kinds becomes a space. What a
// terminal or a viewer of logs would obey is left out: control characters, those of Unicode's second set (C1) among
// them, what turns the direction of writing, other characters without a shape, and bytes that are not UTF-8.
func Line(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || !unicode.IsGraphic(r):
			return -1
		}
		return r
	}, s))
}

package terminal

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	for name, c := range map[string]struct{ says, shows string }{
		"plain words":                {"no domain with matching name 'web'", "no domain with matching name 'web'"},
		"other alphabets":            {"Domäne „web“ nicht gefunden 域", "Domäne „web“ nicht gefunden 域"},
		"line breaks and tabs":       {" one\ntwo\r\nthree\tfour\n", "one two  three four"},
		"Unicode's own line breaks":  {"one\u0085two\u2028three\u2029four", "one two three four"},
		"an escape sequence":         {"\x1b[2J\x1b]0;title\x07gone", "[2J]0;titlegone"},
		"an escape of the C1 set":    {"a\u009b2Jb\u009d0;c\u009cd", "a2Jb0;cd"},
		"an escape of one byte":      {"a\x9b2Jb", "a2Jb"},
		"deletions":                  {"root\x7f\b\b\b\b", "root"},
		"a turned direction":         {"a\u202egnp.exe\u202cb\u2066c\u2069d\u200fe\u061cf", "agnp.exebcdef"},
		"characters without a shape": {"a\u200bb\ufeffc\u00add\U000e0041e", "abcde"},
		"broken UTF-8":               {"a\xffb\xc3(c\xed\xa0\x80d\xf4", "ab(cd"},
		"nothing else":               {"\x1b\x00\xff\u202e", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Line(c.says); got != c.shows {
				t.Errorf("%+q is shown as %+q, want %+q", c.says, got, c.shows)
			}
		})
	}
}

// FuzzLine: whatever somebody says, it is one line, harmless, and the same when it is looked at twice.
func FuzzLine(f *testing.F) {
	f.Add("one\ntwo")
	f.Add("\x1b[31mred\u009bK\u202e\xff")
	f.Fuzz(func(t *testing.T, says string) {
		shown := Line(says)
		if !utf8.ValidString(shown) {
			t.Errorf("%+q is not UTF-8", shown)
		}
		bad := func(r rune) bool { return unicode.Is(unicode.C, r) || unicode.In(r, unicode.Zl, unicode.Zp) }
		if i := strings.IndexFunc(shown, bad); i >= 0 {
			t.Errorf("%+q has a character to obey at %d", shown, i)
		}
		if again := Line(shown); again != shown {
			t.Errorf("%+q becomes %+q when it is looked at again", shown, again)
		}
	})
}

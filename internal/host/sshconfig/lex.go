package sshconfig

import (
	"errors"
	"strings"
)

const blank = " \t\r\n"

// cutKeyword separates the keyword of a line, in lower case, from what follows it after blanks or one =.
func cutKeyword(line string) (keyword, rest string) {
	line = strings.Trim(line, blank+"\f")
	if strings.HasPrefix(line, "#") {
		return "#", ""
	}
	if name, isQuoted := strings.CutPrefix(line, `"`); isQuoted {
		keyword, rest, _ = strings.Cut(name, `"`)
	} else if end := strings.IndexAny(line, blank+"="); end >= 0 {
		keyword, rest = line[:end], line[end:]
	} else {
		keyword = line
	}
	rest = strings.TrimLeft(rest, blank)
	rest = strings.TrimPrefix(rest, "=")
	return strings.ToLower(keyword), strings.TrimLeft(rest, blank)
}

// split cuts the arguments of a line, which quotes hold together and a backslash can stand before. A # begins a
// comment where an argument could begin.
func split(s string) (args []string, err error) {
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == '#' {
			return args, nil
		}
		arg, rest, err := cutArgument(s)
		if err != nil {
			return nil, err
		}
		args, s = append(args, arg), rest
	}
}

func cutArgument(s string) (arg, rest string, err error) {
	var out strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && (strings.IndexByte(`'"\`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' '):
			i++
			out.WriteByte(s[i])
		case quote == 0 && (c == ' ' || c == '\t'):
			return out.String(), s[i:], nil
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		default:
			out.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", "", errors.New("a quote has no end")
	}
	return out.String(), "", nil
}

package sshconfig

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// hostMatches says whether the patterns of a Host line fit a name: one does, and no negated one does.
func hostMatches(patterns []string, name string) bool {
	fits := false
	for _, p := range patterns {
		p, negated := strings.CutPrefix(p, "!")
		if !matchPattern(p, name) {
			continue
		}
		if negated {
			return false
		}
		fits = true
	}
	return fits
}

// matchList is hostMatches for patterns with commas between them.
func matchList(patterns, name string) bool { return hostMatches(strings.Split(patterns, ","), name) }

// matchPattern compares a text with a pattern of * and ?. It takes at most the product of their lengths.
func matchPattern(pattern, s string) bool {
	p, i := 0, 0
	star, from := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matches evaluates the criteria of a Match line. All of them have to be met.
func (b *block) matches(args []string) (bool, error) {
	met, notEvaluated := true, ""
	for n := 0; len(args) > 0; n++ {
		word := args[0]
		args = args[1:]
		criterion, negated := strings.CutPrefix(word, "!")
		criterion, argument, joined := strings.Cut(criterion, "=")
		criterion = strings.ToLower(criterion)
		switch criterion {
		case "all":
			if n > 1 || len(args) > 0 || joined {
				return false, errors.New("all stands alone, or behind canonical or final")
			}
			return met && !negated, nil
		case "canonical", "final":
			b.wantsFinal = b.wantsFinal || criterion == "final" && !negated
			met = met && b.final != negated
			continue
		}
		with, known := b.compared(criterion)
		if !known {
			notEvaluated = criterion
			if !slices.Contains(elsewhere, criterion) {
				break // how many arguments it has is not known either
			}
		}
		if !joined && len(args) > 0 {
			argument, args = args[0], args[1:]
		}
		if strings.HasSuffix(criterion, "host") {
			argument, with = strings.ToLower(argument), strings.ToLower(with)
		}
		switch {
		case argument == "" && known:
			return false, fmt.Errorf("%q has no argument", word)
		case known:
			met = met && matchList(argument, with) != negated
		}
	}
	if met && notEvaluated != "" && !b.never {
		b.remarkSkipped(notEvaluated)
	}
	return met && notEvaluated == "", nil
}

// elsewhere are criteria of OpenSSH that are not evaluated here, each with one argument.
var elsewhere = []string{"exec", "localnetwork", "version", "tagged", "command", "sessiontype"}

// compared is what a criterion's patterns are compared with, as far as the files have been read.
func (b *block) compared(criterion string) (with string, known bool) {
	switch criterion {
	case "host":
		return b.hostName(), true
	case "originalhost":
		return b.given.Host, true
	case "user":
		return cmp.Or(b.values.User, b.files.LocalUser), true
	case "localuser":
		return b.files.LocalUser, true
	}
	return "", false
}

// remarkSkipped says that a block is left out which ssh would look at more closely.
func (b *block) remarkSkipped(criterion string) {
	why := fmt.Sprintf("the criterion %q is not evaluated", criterion)
	if criterion == "exec" {
		why = "no program is run for exec"
	}
	b.remark(fmt.Sprintf("%s line %d: the Match block is skipped: %s", b.path, b.line, why))
}

// Package spelling finds what somebody probably meant who wrote a name that nobody knows.
package spelling

import (
	"fmt"
	"strings"
)

// Nearest is the name somebody probably meant, "" when none is near.
func Nearest(typed string, names []string) string {
	if len(typed) > 64 {
		return "" // no option is that long
	}
	best, found := 1+max(2, len(typed)/4), ""
	for _, name := range names {
		if d := distance(strings.ToLower(typed), name); d < best {
			best, found = d, name
		}
	}
	if best >= max(len(found), 2) { // everything is near to "id"
		return ""
	}
	return found
}

// distance counts the letters to add, to drop, to change or to swap with their neighbour that make b of a.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// Guess is the question for the name somebody probably meant, with a space before it; "" when none is near.
func Guess(typed string, names []string) string {
	if near := Nearest(typed, names); near != "" {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ""
}

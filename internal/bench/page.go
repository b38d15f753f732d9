package bench

import (
	_ "embed"
	"errors"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed page.html
var pageHead string

// Page is report.html: the table and the plots in one file that asks nobody for anything. It is written out by hand
// because a program with a template engine in it keeps every method of every type, and is a third larger.
func (r Results) Page() ([]byte, error) {
	figures, err := r.figures()
	if err != nil {
		return nil, err
	}
	return r.page(figures), nil
}

func (r Results) page(figures []figure) []byte {
	var b strings.Builder
	write := func(form string, texts ...string) {
		safe := make([]any, len(texts))
		for i, text := range texts {
			safe[i] = html.EscapeString(text)
		}
		fmt.Fprintf(&b, form, safe...)
	}
	b.WriteString(pageHead)
	write("<p class=\"soft\">%s</p>\n", r.sentence())
	if !r.Decides {
		write("<p class=\"warning\">%s</p>\n", undecided)
	}
	write("<div class=\"wide\"><table>\n<thead><tr>")
	for _, name := range columns {
		write("<th scope=\"col\">%s</th>", name)
	}
	write("</tr></thead>\n<tbody>\n")
	for _, line := range r.cells() {
		write("<tr>")
		for _, c := range line {
			write("<td>%s <span>%s</span></td>", c.Main, c.Aside)
		}
		write("</tr>\n")
	}
	write("</tbody></table></div>\n<p class=\"soft\">%s</p>\n", "Medians, with quartiles beside them. Ratios are medians of the ratios within each round. Idle is from the least to the most idle reading.")
	for _, f := range figures {
		write("<figure><h2>%s</h2><p class=\"soft\">%s</p>\n", f.Title, f.Caption)
		b.WriteString(f.SVG)
		write("</figure>\n")
	}
	var versions []string
	for what, version := range r.Versions {
		versions = append(versions, what+": "+version)
	}
	slices.Sort(versions)
	write("<footer><p>%s</p></footer>\n</html>\n", strings.Join(versions, " · "))
	return []byte(b.String())
}

// Write leaves results.json, report.html and total.svg, the page's first plot for other pages, in a folder, which it makes.
func (r Results) Write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	text, err := r.JSON()
	if err != nil {
		return err
	}
	figures, err := r.figures()
	if err != nil {
		return err
	}
	err = errors.Join(os.WriteFile(filepath.Join(folder, "results.json"), text, 0o644), os.WriteFile(filepath.Join(folder, "report.html"), r.page(figures), 0o644))
	if len(figures) > 0 {
		err = errors.Join(err, os.WriteFile(filepath.Join(folder, "total.svg"), []byte(alone(figures[0].SVG)), 0o644))
	}
	return err
}

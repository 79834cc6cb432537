//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// table is a Markdown table that also reads well as it is.
type table struct{ rows [][]string }

func newTable(head ...string) *table { return &table{rows: [][]string{head}} }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) print() { t.write(os.Stdout) }

func (t *table) write(w io.Writer) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range t.rows {
		var line strings.Builder
		line.WriteByte('|')
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line.WriteString(" " + cell + gap + " |")
			} else {
				line.WriteString(" " + gap + cell + " |")
			}
		}
		_, _ = fmt.Fprintln(w, line.String())
		if n == 0 {
			_, _ = fmt.Fprintln(w, ruler(widths))
		}
	}
	_, _ = fmt.Fprintln(w)
}

// ruler is the line under the head: the first column to the left, figures to the right.
func ruler(widths []int) string {
	line := "|"
	for i, width := range widths {
		if i == 0 {
			line += strings.Repeat("-", width+2) + "|"
		} else {
			line += strings.Repeat("-", width+1) + ":|"
		}
	}
	return line
}

func micros(d time.Duration) string {
	return fmt.Sprintf("%.1f µs", float64(d)/float64(time.Microsecond))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

package demo

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/lipgloss/table"
)

// columns of the closing table. In a narrow terminal, those from told to sent are left out.
var columns = []string{"scenario", "shop", "told", "sent", "charges", "parcels", "mails", "answer", "in the end"}

const (
	toldColumn = 2
	sentColumn = 3
	narrow     = 100
)

// row is one side of a scenario.
type row struct {
	cells []string
	wrong bool
}

func rows(r Report) (all []row) {
	for _, o := range r.Scenarios {
		all = append(all, makeRow(o.Name, "naive", o.Naive, o.Naive.Wrong()), makeRow("", "protected", o.Protected, o.Broken()))
	}
	return all
}

func makeRow(scenario, side string, r Result, wrong string) row {
	answer := "none"
	if r.FirstAnswerMS >= 0 {
		answer = fmt.Sprintf("%.1f s", float64(r.FirstAnswerMS)/1000)
	}
	end := wrong
	switch {
	case wrong == "":
		end = "right"
	case r.OverchargedCents > 0 && r.Parcels > 0:
		end = euros(r.OverchargedCents) + " too much"
	}
	return row{
		cells: []string{
			scenario, side, summary(r.Told),
			fmt.Sprint(r.Attempts), fmt.Sprint(r.Charges), fmt.Sprint(r.Parcels), fmt.Sprint(r.Emails), answer, end,
		},
		wrong: wrong != "",
	}
}

// summary says in short what a customer was told.
func summary(told []string) string {
	if len(told) == 0 {
		return "nothing"
	}
	var words []string
	for i := 0; i < len(told); {
		n := 1
		for i+n < len(told) && told[i+n] == told[i] {
			n++
		}
		word := told[i]
		if n > 1 {
			word = fmt.Sprintf("%d× %s", n, word)
		}
		words = append(words, word)
		i += n
	}
	return strings.Join(words, ", ")
}

// printTable prints the closing table for people.
func printTable(w io.Writer, r Report) error {
	tabs := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, cells := range append([][]string{columns}, cellsOf(rows(r))...) {
		if _, err := fmt.Fprintln(tabs, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return tabs.Flush()
}

// paintTable is the same for a terminal.
func paintTable(f *os.File, r Report) error {
	width, _ := terminalSize(f)
	_, err := fmt.Fprintln(f, renderTable(lipgloss.NewRenderer(f), r, width))
	return err
}

func renderTable(renderer *lipgloss.Renderer, r Report, width int) string {
	all, headers := rows(r), columns
	cells := cellsOf(all)
	if width < narrow {
		headers = shorten(headers)
		for i := range cells {
			cells[i] = shorten(cells[i])
		}
	}
	styles, end := palette(renderer), len(headers)-1
	return table.New().
		Border(lipgloss.NormalBorder()).
		BorderLeft(false).BorderRight(false).BorderColumn(false).
		BorderStyle(styles[faint]).
		Headers(headers...).
		Rows(cells...).
		StyleFunc(func(r, column int) lipgloss.Style {
			style := styles[blank]
			switch {
			case r == table.HeaderRow, column == 0:
				style = styles[bold]
			case column == end && all[r].wrong:
				style = styles[bad]
			case column == end:
				style = styles[good]
			}
			if column < end {
				style = style.PaddingRight(1)
			}
			return style
		}).
		String()
}

func cellsOf(all []row) (cells [][]string) {
	for _, r := range all {
		cells = append(cells, r.cells)
	}
	return cells
}

func shorten(cells []string) []string {
	return slices.Delete(slices.Clone(cells), toldColumn, sentColumn+1)
}

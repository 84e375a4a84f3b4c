package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v3"
)

// outputFlag chooses between a table for people and JSON for programs.
func outputFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "table or json",
		Validator: func(s string) error {
			if s != "table" && s != "json" {
				return fmt.Errorf("must be table or json")
			}
			return nil
		},
	}
}

// show writes value as JSON if asked to, else the rows as a table. The first row is the heading.
func show(w io.Writer, cmd *cli.Command, value any, rows ...[]string) error {
	if cmd.String("output") == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(value)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = printable(cell)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// printable quotes text that would do something to a terminal, or to the table: names are other people's.
func printable(text string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }
	if strings.ContainsFunc(text, odd) {
		return strconv.Quote(text)
	}
	return text
}

package cli

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this binary", Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			platform := runtime.GOOS + "/" + runtime.GOARCH
			return a.write(output.Result{
				Columns: []string{"VERSION", "GO", "PLATFORM"},
				Rows:    []output.Row{{Cells: []string{a.env.Version, runtime.Version(), platform}}},
				Doc:     map[string]string{"version": a.env.Version, "go": runtime.Version(), "platform": platform},
			})
		},
	}
}

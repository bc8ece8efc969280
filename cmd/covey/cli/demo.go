package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/demo"
)

func (a *app) newDemo() *cobra.Command {
	c := demo.Config{FirstPort: 8700}
	var log string
	cmd := &cobra.Command{
		Use: "demo", Short: "Run a cluster of real processes on this machine", Args: takes(0, 0),
		Long: `Run a cluster of real processes on this machine, to use it, to kill nodes and to
see that nothing is lost. Ctrl-C stops it and deletes its data, unless
--data-dir keeps them for the next time.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			exe, err := os.Executable()
			if err != nil {
				return err
			}
			c.Exe, c.Out, c.Terminal = exe, a.env.Stdout, a.env.StdoutTerminal
			c.Args = []string{"--log-level", log}
			return demo.Run(cmd.Context(), c)
		},
	}
	fs := cmd.Flags()
	fs.IntVar(&c.Nodes, "nodes", 3, "how many, 1 to 9")
	fs.StringVar(&c.DataDir, "data-dir", "", "`folder` to keep the data in (default a temporary one)")
	fs.IntVar(&c.FirstPort, "first-port", c.FirstPort, "HTTP `port` of the first node; the next ones are ten apart")
	fs.StringVar(&log, "log-level", "info", "of the nodes, in their log files")
	config.CallOnly(fs, "nodes", "first-port", "data-dir", "log-level")
	return cmd
}

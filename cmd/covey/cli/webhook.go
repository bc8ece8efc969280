package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newRestWebhook() *cobra.Command {
	return newGroup("webhook", "Tell other services of what is written to a database",
		a.newRestWebhookAdd(), a.newRestWebhookList(), a.newRestWebhookRemove(), a.newRestWebhookEnable(), a.newRestWebhookTest(), a.newRestWebhookRetry())
}

func (a *app) newRestWebhookAdd() *cobra.Command {
	var v restVerb
	var spec client.WebhookSpec
	cmd := &cobra.Command{
		Use: "add URL", Short: "Add a webhook and print its secret", Args: takes(1, 1),
		Long: `Add a webhook and print its secret, with which the receiver verifies that a message
comes from here. Messages are signed as the Standard Webhooks specification says.
The secret cannot be read again.

Each document that is created, changed or deleted from now on is told to URL, in the
order of the changes, at least once: repeats have the same webhook-id. URL is https
and public, unless the nodes run with --webhook-allow-private.`,
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&spec.Collections, "collections", nil, "`collections`, comma-separated (default all)")
	fs.StringSliceVar(&spec.Methods, "methods", nil, "`methods`, comma-separated: POST,PUT,DELETE; a PATCH is told as PUT (default all)")
	fs.StringVar(&spec.Note, "note", "", "`text` for people, shown in the list")
	config.CallOnly(fs, "collections", "methods", "note")
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		// An empty list is rather a variable that is not set than the wish for all.
		for name, list := range map[string][]string{"collections": spec.Collections, "methods": spec.Methods} {
			if cmd.Flags().Changed(name) && len(list) == 0 {
				return usagef("--%s names none; leave it out for all", name)
			}
		}
		spec.URL = args[0]
		made, err := d.AddWebhook(cmd.Context(), spec)
		if err != nil {
			return err
		}
		return a.write(output.Result{
			Columns: []string{"SECRET", "ID"}, Rows: []output.Row{{Cells: []string{made.Secret, made.ID}}}, Doc: made,
		})
	})
}

func (a *app) newRestWebhookList() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{Use: "list", Short: "List the webhooks of a database with what waits for them", Args: takes(0, 0)}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, _ []string) error {
		hooks, err := d.Webhooks(cmd.Context())
		if err != nil {
			return err
		}
		r := output.Result{Columns: []string{"ID", "URL", "COLLECTIONS", "METHODS", "STATE", "WAITING", "NOTE"}}
		for _, h := range hooks {
			r.Rows = append(r.Rows, webhookRow(h))
		}
		return a.write(r)
	})
}

func webhookRow(h client.Webhook) output.Row {
	all := func(list []string) string {
		if len(list) == 0 {
			return "all"
		}
		return strings.Join(list, ",")
	}
	url := h.URL
	if h.URLError != "" {
		url = "cannot be opened: " + h.URLError
	}
	state, waiting := "on", ""
	if q := h.Queue; q != nil {
		waiting = fmt.Sprint(q.Pending)
		if q.More {
			waiting = "at least " + waiting
		}
		if q.Attempts > 0 {
			state = fmt.Sprintf("failed %d times: %s", q.Attempts, q.LastError)
			if q.Next != nil {
				state += "; next try " + q.Next.Format(time.DateTime)
			}
		}
		if q.Suspended != nil {
			state = "suspended " + q.Suspended.Format(time.DateTime) + ", too much waits; " + state
		}
	}
	if h.Disabled != nil {
		state = "disabled " + h.Disabled.Since.Format(time.DateTime) + ": " + h.Disabled.Reason
	}
	return output.Row{Cells: []string{h.ID, url, all(h.Collections), all(h.Methods), state, waiting, h.Note}, Doc: h}
}

func (a *app) newRestWebhookRemove() *cobra.Command {
	var v restVerb
	var yes bool
	cmd := &cobra.Command{Use: "remove ID...", Short: "Delete webhooks with what waits for them", Args: takes(1, -1)}
	yesFlag(cmd, &yes)
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, ids []string) error {
		what := fmt.Sprintf("Remove webhook %s of database %s, with what it has not been told yet", output.Clean(ids[0]), output.Clean(d.Name()))
		if len(ids) > 1 {
			what = fmt.Sprintf("Remove %d webhooks of database %s, with what they have not been told yet", len(ids), output.Clean(d.Name()))
		}
		if err := a.confirm(cmd.Context(), yes, what); err != nil {
			return err
		}
		return each(len(ids), func(i int) error { return d.RemoveWebhook(cmd.Context(), ids[i]) })
	})
}

func (a *app) newRestWebhookEnable() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{
		Use: "enable ID...", Short: "Tell disabled webhooks of writes again", Args: takes(1, -1),
		Long: `Tell disabled webhooks of writes again, of those from now on. A webhook is disabled
when its target has failed for three days, or has answered 410 Gone; the list says
why. What was written meanwhile, and what waited then, is not told.`,
	}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, ids []string) error {
		return each(len(ids), func(i int) error { return d.EnableWebhook(cmd.Context(), ids[i]) })
	})
}

func (a *app) newRestWebhookTest() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{
		Use: "test ID", Short: "Send a webhook a message that tells of no write, and print the message's id", Args: takes(1, 1),
		Long: `Send a webhook a message that tells of no write, and print the message's id. It goes
out behind what waits already; "covey restdb webhook list" shows whether it does.`,
	}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, args []string) error {
		message, err := d.TestWebhook(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return a.write(output.Result{
			Columns: []string{"MESSAGE"}, Rows: []output.Row{{Cells: []string{message}}}, Doc: map[string]string{"message": message},
		})
	})
}

func (a *app) newRestWebhookRetry() *cobra.Command {
	var v restVerb
	cmd := &cobra.Command{Use: "retry ID...", Short: "Try at once again what waits for webhooks", Args: takes(1, -1)}
	return v.on(a, cmd, func(cmd *cobra.Command, d *client.RestDatabase, ids []string) error {
		return each(len(ids), func(i int) error { return d.RetryWebhook(cmd.Context(), ids[i]) })
	})
}

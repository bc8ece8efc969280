package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
)

func (a *app) newNestHooks() *cobra.Command {
	cmd := newGroup("webhooks", "List, create, test and delete webhooks, and look at what they sent",
		a.newHookList(), a.newHookCreate(), a.newHookEnable(true), a.newHookEnable(false), a.newHookDelete(),
		a.newHookTest(), a.newHookDeliveries(), a.newHookRedeliver())
	cmd.Aliases = []string{"webhook"}
	return cmd
}

func nestHooks(all ...client.NestWebhook) output.Result {
	r := output.Result{Columns: []string{"ID", "URL", "EVENTS", "ORGANIZATION", "STATE"}}
	for _, h := range all {
		state := "active"
		switch {
		case !h.Active && h.DisabledReason != "":
			state = "off: " + h.DisabledReason
		case !h.Active:
			state = "off"
		case h.FailingSince != nil:
			state = "failing since " + stamped(h.FailingSince, "")
		}
		r.Rows = append(r.Rows, output.Row{Cells: []string{h.ID, h.URL, listed(h.Events), number(h.Organization), state}, Doc: h})
	}
	return r
}

func (a *app) newHookList() *cobra.Command {
	var v nestVerb
	var org orgFlag
	cmd := &cobra.Command{Use: "list", Short: "List webhooks", Args: takes(0, 0)}
	org.add(a, &v, cmd, " (default all)")
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, _ []string) error {
		in, err := org.id(cmd, s)
		if err != nil {
			return err
		}
		return writeAll(a, nestHooks(), s.Webhooks(cmd.Context(), in), func(h client.NestWebhook) output.Row { return nestHooks(h).Rows[0] })
	})
}

func (a *app) newHookCreate() *cobra.Command {
	var v nestVerb
	var org orgFlag
	var h client.NewNestWebhook
	var secretFile string
	cmd := &cobra.Command{
		Use: "create URL", Short: "Create a webhook, and print its id and secret", Args: takes(1, 1),
		Long: "Create a webhook, and print its id and the secret that deliveries are signed with. The\nsecret cannot be read again.",
	}
	org.add(a, &v, cmd, " (required)")
	fs := cmd.Flags()
	fs.StringSliceVar(&h.Events, "events", []string{"*"}, "`events`, comma-separated: variable.created, project.deleted, ...; * is all")
	fs.StringVar(&secretFile, "secret-file", "", "`file` with the secret (default one is drawn)")
	config.CallOnly(fs, "events", "secret-file")
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		in, err := org.id(cmd, s)
		if err == nil && in == 0 {
			err = usagef("which organization is missing: give --org")
		}
		if err == nil {
			h.Secret, err = readSecret("secret-file", secretFile)
		}
		if err != nil {
			return err
		}
		h.URL, h.Organization = args[0], in
		made, err := s.CreateWebhook(cmd.Context(), h)
		if err != nil {
			return err
		}
		return a.write(output.Result{
			Columns: []string{"ID", "SECRET"}, Rows: []output.Row{{Cells: []string{made.ID, made.Secret}}}, Doc: made,
		})
	})
}

func (a *app) newHookEnable(on bool) *cobra.Command {
	var v nestVerb
	cmd := &cobra.Command{Use: "enable ID", Short: "Let a webhook send again", Args: takes(1, 1)}
	if !on {
		cmd.Use, cmd.Short = "disable ID", "Let a webhook send nothing"
	}
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		h, err := s.UpdateWebhook(cmd.Context(), args[0], client.NestWebhookChange{Active: &on})
		if err != nil {
			return err
		}
		r := nestHooks(h)
		return a.done(r.Rows[0], r.Columns...)
	})
}

func (a *app) newHookDelete() *cobra.Command {
	var v nestVerb
	var yes bool
	cmd := &cobra.Command{Use: "delete ID", Short: "Delete a webhook, with what it has not sent yet", Args: takes(1, 1)}
	yesFlag(cmd, &yes)
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		if err := a.confirm(cmd.Context(), yes, "Delete webhook "+output.Clean(args[0])); err != nil {
			return err
		}
		return s.DeleteWebhook(cmd.Context(), args[0])
	})
}

func deliveries(all ...client.NestDelivery) output.Result {
	r := output.Result{Columns: []string{"ID", "EVENT", "CREATED", "STATUS", "ATTEMPTS", "ANSWER", "ERROR"}}
	for _, d := range all {
		answer := ""
		if d.Response != nil {
			answer = strconv.Itoa(*d.Response)
		}
		r.Rows = append(r.Rows, output.Row{
			Cells: []string{number(d.ID), d.Event, stamped(&d.Created, ""), d.Status, strconv.Itoa(d.Attempts), answer, d.Error}, Doc: d,
		})
	}
	return r
}

func (a *app) newHookDeliveries() *cobra.Command {
	var v nestVerb
	cmd := &cobra.Command{Use: "deliveries ID", Short: "List the latest messages of a webhook, the newest first", Args: takes(1, 1)}
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		all := s.Deliveries(cmd.Context(), args[0])
		return writeAll(a, deliveries(), all, func(d client.NestDelivery) output.Row { return deliveries(d).Rows[0] })
	})
}

func (a *app) newHookTest() *cobra.Command {
	var v nestVerb
	cmd := &cobra.Command{Use: "test ID", Short: "Send a message that tells of no change", Args: takes(1, 1)}
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		d, err := s.TestWebhook(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		r := deliveries(d)
		return a.done(r.Rows[0], r.Columns...)
	})
}

func (a *app) newHookRedeliver() *cobra.Command {
	var v nestVerb
	cmd := &cobra.Command{Use: "redeliver ID DELIVERY", Short: "Send a message once more", Args: takes(2, 2)}
	return v.on(a, cmd, func(cmd *cobra.Command, s *nestSession, args []string) error {
		ids, err := numbers(args[1:])
		if err != nil {
			return err
		}
		d, err := s.Redeliver(cmd.Context(), args[0], ids[0])
		if err != nil {
			return err
		}
		r := deliveries(d)
		return a.done(r.Rows[0], r.Columns...)
	})
}

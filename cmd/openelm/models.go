package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/go-openelm/go-openelm/loader"
	"github.com/go-openelm/go-openelm/loader/hub"
	"github.com/spf13/cobra"
)

func modelsCommand(m *modelFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "models",
		Short: "List, download, remove and verify the models in the hub's cache",
		Long: `List, download, remove and verify the models in the hub's cache, which Python's
huggingface_hub shares. It is in ~/.cache/huggingface/hub, or where HF_HUB_CACHE
or HF_HOME say.`,
		Annotations: map[string]string{noUse: "model adapter backend threads activations"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%s knows no %q; there are list, pull, rm and verify", cmd.CommandPath(), args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(modelsList(m), modelsPull(m), modelsRemove(m), modelsVerify(m))
	return cmd
}

// someModels is the Args of commands that take names of repositories.
func someModels(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%s takes the names of models, such as apple/OpenELM-270M (see %[1]s --help)", cmd.CommandPath())
	}
	return nil
}

func parseRepos(args []string) (list []hub.Repo, err error) {
	for _, name := range args {
		repo, err := hub.ParseRepo(name)
		if err != nil {
			return nil, err
		}
		list = append(list, repo)
	}
	return list, nil
}

func modelsList(m *modelFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the models in the cache",
		Long: `List the models in the cache: their revisions, each with the branches and tags that
were last seen there, and what they take. Files that revisions share count for
each of them, and once for the model.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := m.loaderOptions(cmd).Hub.Cached()
			if err != nil {
				return err
			}
			m.noteEmpty(cmd, list)
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, r := range list {
				fmt.Fprintf(w, "%s\t%s\n", r.Repo.ID, size(r.Size))
				for _, v := range r.Revisions {
					refs := strings.Join(v.Refs, ", ")
					if refs == "" {
						refs = "no branch"
					}
					fmt.Fprintf(w, "  %.12s\t%s\t%d files\t%s\n", v.Commit, size(v.Size), len(v.Files), refs)
				}
			}
			return w.Flush()
		},
	}
}

// noteEmpty says that there is nothing to list.
func (f *modelFlags) noteEmpty(cmd *cobra.Command, list []hub.CachedRepo) {
	if len(list) == 0 && !f.quiet {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: there are no models in the cache")
	}
}

func modelsPull(m *modelFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "pull model...",
		Short: "Download models, as the other commands do when they need one",
		Example: `  openelm models pull apple/OpenELM-270M-Instruct
  openelm models pull org/name@v1 org/name/file.gguf`,
		Args: someModels,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range args {
				o := m.loaderOptions(cmd)
				info, err := loader.Inspect(cmd.Context(), name, o)
				if err != nil {
					return err
				}
				if info.Problem != nil {
					return info.Problem
				}
				if _, err := loader.OpenTokenizer(cmd.Context(), name, o); err != nil {
					return err
				}
				var total int64
				for _, f := range info.Files {
					total += f.Size
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s of weights\n", name, size(total))
			}
			return nil
		},
	}
}

func modelsRemove(m *modelFlags) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "rm model[@revision]...",
		Short: "Remove models, or revisions of them, from the cache",
		Long: `Remove models, or revisions of them, from the cache. Files that another revision
has too stay.`,
		Example: `  openelm models rm --dry-run apple/OpenELM-270M
  openelm models rm apple/OpenELM-270M@main`,
		Args: someModels,
		RunE: func(cmd *cobra.Command, args []string) error {
			repos, err := parseRepos(args)
			if err != nil {
				return err
			}
			client := m.loaderOptions(cmd).Hub
			for _, repo := range repos { // one that is not there ends it before any is gone
				if _, err := client.Remove(cmd.Context(), repo, true); err != nil {
					return err
				}
			}
			for _, repo := range repos {
				r, err := client.Remove(cmd.Context(), repo, dry)
				if err != nil {
					return err
				}
				would := map[bool]string{true: "would free", false: "freed"}[dry]
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s %s\n", repo, would, size(r.Size))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only tell what would be removed")
	return cmd
}

// errDamaged is the error of a command that found damaged files.
var errDamaged = errors.New("there are damaged files; remove their models and download them anew")

func modelsVerify(m *modelFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "verify [model[@revision]]...",
		Short: "Hold the files in the cache to their hashes",
		Long:  `Hold the files of models in the cache, or of all of them, to their hashes.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			repos, err := parseRepos(args)
			if err != nil {
				return err
			}
			client := m.loaderOptions(cmd).Hub
			if len(repos) == 0 {
				list, err := client.Cached()
				if err != nil {
					return err
				}
				m.noteEmpty(cmd, list)
				for _, r := range list {
					repos = append(repos, r.Repo)
				}
			}
			progress := newStepProgress(cmd.ErrOrStderr(), m.quiet)
			defer progress.end()
			damaged := false
			for _, repo := range repos {
				v, err := client.Verify(cmd.Context(), repo, func(p hub.Progress) { progress.update(p.File, p.Done, p.Total) })
				if err != nil {
					return err
				}
				progress.end()
				note := ""
				if v.Unknown > 0 {
					note = fmt.Sprintf(", %d more without a known hash", v.Unknown)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %d files, %s, %d damaged%s\n", repo, v.Files, size(v.Size), len(v.Problems), note)
				for _, p := range v.Problems {
					damaged = true
					fmt.Fprintf(cmd.OutOrStdout(), "  %.12s %s: %s\n", p.Commit, p.File, strings.TrimPrefix(p.Err.Error(), "hub: "))
				}
			}
			if damaged {
				return errDamaged
			}
			return nil
		},
	}
}

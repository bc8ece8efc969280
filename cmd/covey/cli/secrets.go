package cli

import "github.com/coveydb/covey/cmd/covey/config"

// readSecrets reads the secrets of serve from their files or variables.
func (a *app) readSecrets(f *serveFlags) (err error) {
	f.Keyring = config.Lookup(a.env.Environ, envKeyring)
	if f.Backups.Keys, err = a.s3Keys(&f.s3); err != nil {
		return err
	}
	for _, s := range []struct {
		to                   *string
		flag, path, variable string
	}{
		{&f.RootKey, "root-key-file", f.rootKeyFile, envRootKey},
		{&f.KOT.Password, "kot-password-file", f.kotPasswordFile, envKOTPassword},
		{&f.RestDB.Key, "restdb-key-file", f.restKeyFile, envRestDBKey},
		{&f.Mail.Password, "smtp-password-file", f.smtpPassword, envSMTPPassword},
	} {
		if *s.to, err = a.secret(s.flag, s.path, s.variable); err != nil {
			return err
		}
	}
	return nil
}

// plainVariables are the variables that are read and are no flags.
func plainVariables() []string {
	return []string{envConfig, envRootKey, envKey, envKeyring, envKOTPassword, envEncryptionKey, envRestDBKey, envSMTPPassword}
}

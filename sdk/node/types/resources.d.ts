import { CallOptions, Id, Listing, Paging, Time } from './calls';
import {
  AuditEntry, CopyResult, Delivery, Diff, Environment, EnvironmentType, ImportResult, Member, Organization, Project,
  PromoteResult, Role, RollbackResult, ServiceToken, User, Variable, VariablePage, Version, Webhook,
} from './objects';

/** The account of the token. Logging in and registering give the client its token. */
export class Auth {
  private constructor();
  login(account: { email: string; password: string }, options?: CallOptions): Promise<{
    message: string; token: string; user: User; organizations: Array<{ id: number; name: string; role: Role }>;
  }>;
  /** Not repeated when its answer is lost: log in then, to see whether it was done. */
  register(
    account: { username: string; email: string; password: string; confirmPassword?: string; firstName?: string; lastName?: string },
    options?: CallOptions,
  ): Promise<{ message: string; token: string; user: User; organization: { id: number; name: string } }>;
  logout(options?: CallOptions): Promise<{ message: string }>;
  profile(options?: CallOptions): Promise<User | ({ type: 'service_token' } & ServiceToken)>;
  updateProfile(changes: { firstName?: string; lastName?: string }, options?: CallOptions): Promise<User>;
  /** Not repeated when its answer is lost. The client goes on with the new token. */
  changePassword(
    change: { currentPassword: string; newPassword: string; confirmNewPassword?: string }, options?: CallOptions,
  ): Promise<{ message: string; token: string }>;
}

export class Organizations {
  private constructor();
  list(filters?: Paging, options?: CallOptions): Listing<Organization>;
  get(id: Id, options?: CallOptions): Promise<Organization>;
  create(organization: { name: string; description?: string | null }, options?: CallOptions): Promise<Organization>;
  update(id: Id, changes: { name?: string; description?: string | null }, options?: CallOptions): Promise<Organization>;
  /** With everything in it. */
  delete(id: Id, options?: CallOptions): Promise<void>;
  members(id: Id, options?: CallOptions): Promise<Member[]>;
  inviteMember(id: Id, member: { email: string; role?: Role }, options?: CallOptions): Promise<{ message: string; member: Member }>;
  updateMemberRole(id: Id, member: { userId: number; role: Role }, options?: CallOptions): Promise<{ message: string; member: Omit<Member, 'joined_at'> }>;
  removeMember(id: Id, userId: number, options?: CallOptions): Promise<{ message: string; removed_member: { email: string; username: string; role: Role } }>;
}

export class Projects {
  private constructor();
  list(filters?: Paging & { organizationId?: Id; search?: string }, options?: CallOptions): Listing<Project>;
  get(id: Id, options?: CallOptions): Promise<Project>;
  create(project: { name: string; organizationId: Id; description?: string | null }, options?: CallOptions): Promise<Project>;
  /** organizationId moves it. */
  update(id: Id, changes: { name?: string; organizationId?: Id; description?: string | null }, options?: CallOptions): Promise<Project>;
  /** With everything in it. */
  delete(id: Id, options?: CallOptions): Promise<void>;
  environments(id: Id, filters?: Paging, options?: CallOptions): Listing<Environment>;
}

export class Environments {
  private constructor();
  list(filters?: Paging & { projectId?: Id; environmentType?: EnvironmentType }, options?: CallOptions): Listing<Environment>;
  get(id: Id, options?: CallOptions): Promise<Environment>;
  create(
    environment: { name: string; projectId: Id; environmentType?: EnvironmentType; description?: string | null; maxVersions?: number },
    options?: CallOptions,
  ): Promise<Environment>;
  update(
    id: Id, changes: { name?: string; environmentType?: EnvironmentType; description?: string | null; maxVersions?: number }, options?: CallOptions,
  ): Promise<Environment>;
  /** With everything in it. */
  delete(id: Id, options?: CallOptions): Promise<void>;
  /** With their values; `at` shows them as of a time, `resolve` puts values in the place of references. */
  variables(id: Id, filters?: Paging & { at?: Time; resolve?: boolean }, options?: CallOptions): Listing<Variable, VariablePage>;
  /** The text of a file for deployments. */
  export(
    id: Id, file?: { format?: 'env' | 'json' | 'yaml'; style?: 'default' | 'shell' | 'docker'; resolve?: boolean }, options?: CallOptions,
  ): Promise<string>;
  /** All values by key, from one export. */
  values(id: Id, file?: { resolve?: boolean }, options?: CallOptions): Promise<Record<string, string>>;
  import(id: Id, content: { data: string; format?: 'env' | 'json' | 'yaml' | 'auto'; overwrite?: boolean }, options?: CallOptions): Promise<ImportResult>;
  /** The name tells the format: .json, .yaml, .yml, else .env. */
  importFile(id: Id, file: string, how?: { overwrite?: boolean }, options?: CallOptions): Promise<ImportResult>;
  /** What another environment has that this one has not, and so on. */
  diff(id: Id, how: { with: Id; values?: boolean }, options?: CallOptions): Promise<Diff>;
  /** In one change; variables that are there are a Conflict unless `overwrite`. */
  copy(id: Id, how: { to: Id; keys?: readonly string[]; overwrite?: boolean; dryRun?: boolean }, options?: CallOptions): Promise<CopyResult>;
  /** In one change, over what is there; `removeMissing` deletes the others there. */
  promote(id: Id, how: { to: Id; keys?: readonly string[]; removeMissing?: boolean; dryRun?: boolean }, options?: CallOptions): Promise<PromoteResult>;
  /** Makes the environment what it was at a time, in one change. */
  rollback(id: Id, how: { at: Time; dryRun?: boolean }, options?: CallOptions): Promise<RollbackResult>;
}

export class Variables {
  private constructor();
  list(filters?: Paging & { environmentId?: Id; key?: string; resolve?: boolean }, options?: CallOptions): Listing<Variable>;
  get(id: Id, params?: { resolve?: boolean }, options?: CallOptions): Promise<Variable>;
  create(variable: { key: string; value?: string; environmentId: Id }, options?: CallOptions): Promise<Variable>;
  /** With `version` only if that is the current one, else a Conflict. */
  update(id: Id, changes: { key?: string; value?: string; version?: number }, options?: CallOptions): Promise<Variable>;
  delete(id: Id, options?: CallOptions): Promise<void>;
  /** Newest first. */
  versions(id: Id, filters?: Paging, options?: CallOptions): Listing<Version>;
  version(id: Id, number: number, options?: CallOptions): Promise<Version>;
  /** Makes a new version that is as an old one was. */
  rollback(id: Id, version: number, options?: CallOptions): Promise<Variable>;
}

export class AuditLogs {
  private constructor();
  /** Newest first. Days are YYYY-MM-DD in UTC, both included. */
  list(
    filters?: Paging & { user?: Id; action?: string; targetType?: string; dateFrom?: string; dateTo?: string }, options?: CallOptions,
  ): Listing<AuditEntry>;
  /** The text of a file that `covey audit verify` proves. */
  export(file?: { format?: 'jsonl' | 'csv' }, options?: CallOptions): Promise<string>;
}

export class ServiceTokens {
  private constructor();
  list(filters?: Paging & { organizationId?: Id; projectId?: Id; environmentId?: Id }, options?: CallOptions): Listing<ServiceToken>;
  get(id: Id, options?: CallOptions): Promise<ServiceToken>;
  /** For a project or an environment. The answer's `token` is shown this once. */
  create(
    token: {
      name: string; readOnly?: boolean; expiresAt?: Time; expiresIn?: string; allowedNetworks?: readonly string[];
    } & ({ projectId: Id } | { environmentId: Id }),
    options?: CallOptions,
  ): Promise<ServiceToken & { token: string }>;
  rename(id: Id, name: string, options?: CallOptions): Promise<ServiceToken>;
  revoke(id: Id, options?: CallOptions): Promise<void>;
}

export class Webhooks {
  private constructor();
  list(filters?: Paging & { organizationId?: Id }, options?: CallOptions): Listing<Webhook>;
  get(id: Id, options?: CallOptions): Promise<Webhook>;
  /** The answer's `secret` is shown this once. */
  create(
    webhook: { url: string; events: readonly string[]; organizationId: Id; secret?: string; isActive?: boolean }, options?: CallOptions,
  ): Promise<Webhook & { secret: string }>;
  /** A secret of "" draws a new one, which the answer shows. */
  update(id: Id, changes: { url?: string; events?: readonly string[]; secret?: string; isActive?: boolean }, options?: CallOptions): Promise<Webhook>;
  delete(id: Id, options?: CallOptions): Promise<void>;
  /** Newest first. */
  deliveries(id: Id, filters?: Paging, options?: CallOptions): Listing<Delivery>;
  /** With its payload. */
  delivery(id: Id, number: Id, options?: CallOptions): Promise<Delivery>;
  redeliver(id: Id, number: Id, options?: CallOptions): Promise<Delivery>;
  /** Sends a message that tells of no change. */
  test(id: Id, options?: CallOptions): Promise<Delivery>;
}

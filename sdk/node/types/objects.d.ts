// What the server sends, in its own names.

export type Role = 'admin' | 'editor' | 'viewer';
export type EnvironmentType = 'development' | 'staging' | 'production' | 'testing';

export interface User {
  id: number;
  username: string;
  email: string;
  first_name: string;
  last_name: string;
  full_name: string;
  date_joined: string;
  last_login: string | null;
  is_active: boolean;
}

export interface Organization {
  id: number;
  name: string;
  description: string | null;
  created_at: string;
  updated_at: string;
  member_count: number;
  project_count: number;
  user_role: Role;
}

export interface Member {
  id: number;
  email: string;
  username: string;
  role: Role;
  joined_at: string;
  /** For admins only. */
  last_login?: string | null;
  is_active?: boolean;
}

export interface Project {
  id: number;
  name: string;
  description: string | null;
  organization: number;
  organization_name: string;
  created_at: string;
  updated_at: string;
  created_by_name: string;
  environment_count: number;
}

export interface Environment {
  id: number;
  name: string;
  project: number;
  project_name: string;
  environment_type: EnvironmentType;
  description: string | null;
  created_at: string;
  updated_at: string;
  created_by_name: string;
  variable_count: number;
  /** How many versions of each variable are kept. */
  max_versions: number;
}

export interface Variable {
  id: number;
  key: string;
  /** "[HIDDEN]" for viewers. */
  decrypted_value: string;
  environment: number;
  environment_name: string;
  created_at: string;
  updated_at: string;
  created_by_name: string;
  version: number;
  /** Why a reference could not be resolved, where that was asked for. */
  unresolved?: string;
}

/** Variables; with `at` also the keys of which it is not known what they were. */
export interface VariablePage {
  count: number;
  next: string | null;
  previous: string | null;
  results: Variable[];
  unknown?: string[];
}

export interface Version {
  id: number;
  version: number;
  key: string;
  /** null in a version that says that the variable was deleted. */
  decrypted_value: string | null;
  created_at: string;
  created_by: number | null;
  created_by_name: string;
  change: 'created' | 'updated' | 'renamed' | 'deleted' | 'imported' | 'rolled_back' | 'copied' | 'promoted';
  is_current: boolean;
}

export interface ImportResult {
  message: string;
  summary: { imported: number; updated: number; failed: number; total_variables: number };
  failed_imports: Array<{ line: number; key: string; error: string }> | null;
}

export interface Diff {
  environment: number;
  with: number;
  added: Array<{ key: string; value?: string }>;
  removed: Array<{ key: string; value?: string }>;
  changed: Array<{ key: string; value?: string; with_value?: string }>;
  unchanged_count: number;
}

export interface CopyResult {
  message: string;
  created: string[];
  updated: string[];
  unchanged_count: number;
  dry_run: boolean;
}

export interface PromoteResult extends CopyResult {
  deleted: string[];
}

export interface RollbackResult {
  restored: string[];
  deleted: string[];
  unchanged_count: number;
  unknown: string[];
  dry_run: boolean;
}

export interface AuditEntry {
  id: number;
  user_name: string;
  user_email: string;
  action: string;
  target_type: string;
  target_id: number;
  details: Record<string, unknown>;
  ip_address: string | null;
  timestamp: string;
}

export interface ServiceToken {
  id: number;
  name: string;
  organization: number;
  project: number | null;
  environment: number | null;
  read_only: boolean;
  created_at: string;
  created_by: number;
  created_by_name: string;
  expires_at: string | null;
  allowed_networks: string[];
  last_used_at: string | null;
  is_active: boolean;
}

export interface Webhook {
  id: string;
  url: string;
  events: string[];
  organization: number;
  is_active: boolean;
  created_at: string;
  disabled_reason: string;
  failing_since: string | null;
  /** Only in the answer that sets it. */
  secret?: string;
}

export interface Delivery {
  id: number;
  event: string;
  message_id: string;
  created_at: string;
  status: 'pending' | 'delivered' | 'failed' | 'dropped';
  attempts: number;
  last_attempt_at: string | null;
  response_status: number | null;
  error: string;
  next_attempt_at: string | null;
  duration_ms: number | null;
  payload?: unknown;
}

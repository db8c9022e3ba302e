//! `hm user`: accounts from the command line, for whoever has the machine.

use std::io::{IsTerminal, Write};

use anyhow::{Context, anyhow, bail, ensure};

use super::Exit;
use crate::{
    cli::{UserAction, UserArgs},
    config::Config,
    db::{
        self, PgConnection,
        accounts::{
            Account, Action, delete_account, find_account_by_name, has_accounts, insert_account, insert_audit, list_accounts, set_password,
            set_role,
        },
    },
    models::account::{PasswordKept, Role, checked_name},
    services::Services,
};

/// Who the audit log says did it.
const ACTOR: &str = "command line";

/// Runs the role.
///
/// # Errors
/// When there is no such account, or the change would leave none that can manage accounts.
pub(super) fn run(args: &UserArgs, config: &Config) -> anyhow::Result<Exit> {
    let services = Services::open(config).context("while starting the private services")?;
    db::migrate(services.database_url())?;
    let db = db::Db::connect(services.database_url(), 1)?;
    let mut conn = db.get()?;
    let said = match &args.action {
        UserAction::List => list(&mut conn)?,
        UserAction::Add { name, role } => add(&mut conn, name, *role)?,
        UserAction::Role { name, role } => {
            let account = find(&mut conn, name)?;
            set_role(&mut conn, account.id, *role)??;
            insert_audit(&mut conn, ACTOR, Action::RoleChanged, &format!("{}: {role}", account.name), "")?;
            format!("`{}` is now {}", account.name, role)
        }
        UserAction::Password { name } => {
            let account = find(&mut conn, name)?;
            let password = PasswordKept::of(&ask_password(&account.name)?, &account.name)?;
            set_password(&mut conn, account.id, &password, None)?;
            insert_audit(&mut conn, ACTOR, Action::PasswordChanged, &account.name, "")?;
            format!("`{}` has a new password; all its browsers are signed out", account.name)
        }
        UserAction::Remove { name } => {
            let account = find(&mut conn, name)?;
            delete_account(&mut conn, account.id)??;
            insert_audit(&mut conn, ACTOR, Action::AccountRemoved, &account.name, "")?;
            format!("`{}` is removed; what it did stays in the history", account.name)
        }
    };
    writeln!(std::io::stdout(), "{said}")?;
    Ok(Exit::Done)
}

fn list(conn: &mut PgConnection) -> anyhow::Result<String> {
    let accounts = list_accounts(conn)?;
    if accounts.is_empty() {
        return Ok("No accounts yet: whoever sits at this machine is the owner. Add one: hm user add NAME".to_owned());
    }
    let width = accounts.iter().map(|account| account.name.chars().count()).max().unwrap_or_default();
    let line = |account: &Account| {
        let seen =
            account.seen_at.map_or_else(|| "never signed in".to_owned(), |at| format!("last seen {}", at.format("%Y-%m-%d %H:%M UTC")));
        format!("{:width$}  {:6}  {seen}", account.name, account.role.word())
    };
    Ok(accounts.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn add(conn: &mut PgConnection, name: &str, role: Option<Role>) -> anyhow::Result<String> {
    let name = checked_name(name)?;
    ensure!(find_account_by_name(conn, &name)?.is_none(), "there is an account called `{name}` already");
    let role = match role {
        Some(role) => role,
        None if has_accounts(conn)? => Role::Viewer,
        None => Role::Owner,
    };
    let password = PasswordKept::of(&ask_password(&name)?, &name)?;
    let account = insert_account(conn, &name, role, &password, false)??;
    insert_audit(conn, ACTOR, Action::AccountAdded, &format!("{name}: {role}"), "")?;
    Ok(format!("`{}` may sign in as {role}", account.name))
}

fn find(conn: &mut PgConnection, name: &str) -> anyhow::Result<Account> {
    find_account_by_name(conn, name)?.ok_or_else(|| anyhow!("there is no account called `{name}`\nhint: hm user list"))
}

/// A password, twice from a terminal that does not show it, or the first line of standard input.
fn ask_password(name: &str) -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).context("while reading the password from standard input")?;
        let password = line.trim_end_matches(['\r', '\n']);
        ensure!(!password.is_empty(), "no password on standard input\nhint: run it on a terminal, or: hm user … < FILE");
        return Ok(password.to_owned());
    }
    let password = rpassword::prompt_password(format!("Password of `{name}`: ")).context("while asking for the password")?;
    if rpassword::prompt_password("Once more: ").context("while asking for the password")? != password {
        bail!("the two passwords differ: nothing was changed");
    }
    Ok(password)
}

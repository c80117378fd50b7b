//! Which generations of the API key there are, as the Terraform root `terraform/api-keys` is told: read from, and written
//! into, a file of its variables, and led through a rotation step by step.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;

/// The root's variables.
const KEYS: &str = "key_generations";
const DISABLED: &str = "disabled_generations";

/// Generations of the API key, oldest first; the last is the current one, which the secret holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Generations {
    pub key_generations: Vec<u32>,
    pub disabled_generations: Vec<u32>,
}

/// A step of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Say how far a rotation is; changes nothing.
    Show,
    /// A second key, valid beside the first, becomes the current one.
    Begin,
    /// The old key is disabled: it opens nothing, and can be enabled again.
    Finish,
    /// Takes `finish` back: the old key is enabled again.
    Reopen,
    /// The old key is deleted, for good.
    Remove,
}

impl Generations {
    /// What the root takes when a file says nothing.
    pub fn initial() -> Self {
        Self { key_generations: vec![1], disabled_generations: Vec::new() }
    }

    /// The generation that a rotation replaces, while there are two.
    pub fn old(&self) -> Option<u32> {
        (self.key_generations.len() == 2).then(|| self.key_generations[0])
    }

    /// The generation that the secret holds.
    pub fn current(&self) -> u32 {
        self.key_generations.last().copied().unwrap_or_default()
    }

    /// What they are after a step. A step that was done already changes nothing.
    pub fn after(&self, step: Step) -> Result<Self> {
        let current = self.current();
        let (keys, disabled) = match (step, self.old(), self.disabled_generations.is_empty()) {
            (Step::Show, ..)
            | (Step::Begin | Step::Reopen, Some(_), true)
            | (Step::Finish, Some(_), false)
            | (Step::Remove, None, _) => return Ok(self.clone()),
            (Step::Begin, None, _) => (vec![current, current + 1], vec![]),
            (Step::Begin, Some(old), false) => bail!(
                "generation {old} is disabled but still kept, and there can be two at most: `keys rotate remove` comes first"
            ),
            (Step::Finish, Some(old), true) => (self.key_generations.clone(), vec![old]),
            (Step::Finish, None, _) => {
                bail!(
                    "there is one key, generation {current}, and no other to move to: `keys rotate begin` comes first"
                )
            }
            (Step::Reopen, Some(_), false) => (self.key_generations.clone(), vec![]),
            (Step::Reopen, None, _) => {
                bail!(
                    "there is one key, generation {current}, and it is enabled; a key that was removed cannot come back"
                )
            }
            (Step::Remove, Some(_), false) => (vec![current], vec![]),
            (Step::Remove, Some(old), true) => bail!(
                "generation {old} is still enabled: `keys rotate finish` comes first, because a key that is deleted \
                 cannot be made again for a client that was forgotten"
            ),
        };
        Ok(Self { key_generations: keys, disabled_generations: disabled })
    }

    /// What a file of variables says; a file that is not there says nothing.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match fs::read_to_string(path) {
            Ok(text) => {
                Self::parse(&text).map(Some).with_context(|| format!("{} cannot be understood", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    /// Makes a file of variables say these, and leaves whatever else it says.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.with_context(|| format!("{} cannot be read", path.display()))?,
        };
        let edited = self.edit(&text).with_context(|| format!("{} cannot be understood", path.display()))?;
        fs::write(path, edited).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// The root's variables, as Terraform's command line takes them.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![(KEYS, list(&self.key_generations)), (DISABLED, list(&self.disabled_generations))]
    }

    fn parse(text: &str) -> Result<Self> {
        let initial = Self::initial();
        let found = Self {
            key_generations: assignment(text, KEYS)?.map_or(initial.key_generations, |found| found.value),
            disabled_generations: assignment(text, DISABLED)?.map_or(initial.disabled_generations, |found| found.value),
        };
        // The same that the root's validations say, before anything is built upon it.
        let keys = &found.key_generations;
        let sound = matches!(keys.len(), 1 | 2)
            && keys[0] > 0
            && keys.is_sorted_by(|a, b| a < b)
            && found.disabled_generations.iter().all(|disabled| found.old() == Some(*disabled))
            && found.disabled_generations.len() < 2;
        if !sound {
            bail!(
                "{KEYS} = {} and {DISABLED} = {} are no stage of a rotation",
                list(keys),
                list(&found.disabled_generations)
            );
        }
        Ok(found)
    }

    fn edit(&self, text: &str) -> Result<String> {
        let mut text = text.to_owned();
        for (name, value) in self.variables() {
            match assignment(&text, name)? {
                Some(found) => text.replace_range(found.place, &value),
                // A paragraph of its own, so that `terraform fmt` has nothing to align.
                None => {
                    let before = text.trim_end().to_owned();
                    text = before + if text.trim().is_empty() { "" } else { "\n\n" } + &format!("{name} = {value}\n");
                }
            }
        }
        Ok(text)
    }
}

/// A list that a variable is set to, and where in the text it stands.
struct Assignment {
    value: Vec<u32>,
    place: std::ops::Range<usize>,
}

/// Finds `name = [1, 2]`, on one line. Whatever else HCL allows is not read but refused: half understood, it would be
/// overwritten.
fn assignment(text: &str, name: &str) -> Result<Option<Assignment>> {
    let mut found = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let rest = line.trim_start().strip_prefix(name).map(str::trim_start).and_then(|rest| rest.strip_prefix('='));
        if let Some(rest) = rest {
            if found.is_some() {
                bail!("{name} is set twice");
            }
            let opening = start + line.len() - rest.trim_start().len();
            let value = rest.trim_start().strip_prefix('[').and_then(|list| list.split_once(']'));
            let (Some((inner, behind)), true) = (value, rest.trim_start().starts_with('[')) else {
                bail!("{name} is not a list on one line, such as `{name} = [1]`");
            };
            let numbers = inner.split(',').map(str::trim).filter(|number| !number.is_empty());
            let value: Result<Vec<u32>, _> = numbers.map(str::parse).collect();
            let behind = behind.trim_start();
            if !(behind.is_empty() || behind.starts_with('#') || behind.starts_with("//")) {
                bail!("{name} is followed by {behind:?}");
            }
            let value = value.with_context(|| format!("{name} = [{inner}] is no list of whole numbers"))?;
            found = Some(Assignment { value, place: opening..opening + inner.len() + 2 });
        }
        start += line.len();
    }
    Ok(found)
}

/// As HCL writes a list.
fn list(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    format!("[{}]", numbers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generations(keys: &[u32], disabled: &[u32]) -> Generations {
        Generations { key_generations: keys.to_vec(), disabled_generations: disabled.to_vec() }
    }

    #[test]
    fn a_rotation_goes_from_one_key_over_two_to_the_next() {
        let one = generations(&[1], &[]);
        let both = one.after(Step::Begin).unwrap();
        assert_eq!(both, generations(&[1, 2], &[]));
        let disabled = both.after(Step::Finish).unwrap();
        assert_eq!(disabled, generations(&[1, 2], &[1]));
        assert_eq!(disabled.after(Step::Reopen).unwrap(), both);
        let removed = disabled.after(Step::Remove).unwrap();
        assert_eq!(removed, generations(&[2], &[]));
        assert_eq!(removed.after(Step::Begin).unwrap(), generations(&[2, 3], &[]));
    }

    #[test]
    fn a_step_that_was_done_changes_nothing() {
        for (found, step) in [
            (generations(&[1, 2], &[]), Step::Begin),
            (generations(&[1, 2], &[1]), Step::Finish),
            (generations(&[1, 2], &[]), Step::Reopen),
            (generations(&[2], &[]), Step::Remove),
            (generations(&[1, 2], &[1]), Step::Show),
        ] {
            assert_eq!(found.after(step).unwrap(), found, "{step:?}");
        }
    }

    #[test]
    fn a_step_out_of_turn_names_the_one_that_comes_first() {
        for (found, step, first) in [
            (generations(&[1, 2], &[1]), Step::Begin, "remove` comes first"),
            (generations(&[1], &[]), Step::Finish, "begin` comes first"),
            (generations(&[1, 2], &[]), Step::Remove, "finish` comes first"),
            (generations(&[2], &[]), Step::Reopen, "cannot come back"),
        ] {
            let error = found.after(step).unwrap_err().to_string();
            assert!(error.contains(first), "{step:?}: {error}");
        }
    }

    #[test]
    fn the_file_keeps_all_else_that_it_says() {
        let first = "environment = \"dev\"\n";
        let begun = generations(&[1, 2], &[]).edit(first).unwrap();
        assert_eq!(begun, "environment = \"dev\"\n\nkey_generations = [1, 2]\n\ndisabled_generations = []\n");
        let by_hand = "key_generations      = [1,2] # since spring\ndisabled_generations = []\n# account_id = \"1\"\n";
        let finished = generations(&[1, 2], &[1]).edit(by_hand).unwrap();
        assert_eq!(
            finished,
            "key_generations      = [1, 2] # since spring\ndisabled_generations = [1]\n# account_id = \"1\"\n"
        );
        for text in [begun, finished, generations(&[2], &[]).edit("").unwrap()] {
            let found = Generations::parse(&text).unwrap();
            assert_eq!(found.edit(&text).unwrap(), text);
        }
        assert_eq!(Generations::parse(first).unwrap(), Generations::initial());
    }

    #[test]
    fn what_is_not_understood_is_not_overwritten() {
        for text in [
            "key_generations = [\n  1,\n]",
            "key_generations = var.x",
            "key_generations = [1.5]",
            "key_generations = [1] + [2]",
            "key_generations = [1]\nkey_generations = [2]",
            "key_generations = []",
            "key_generations = [2, 1]",
            "key_generations = [1, 2, 3]",
            "key_generations = [0]",
            "disabled_generations = [1]",
            "key_generations = [1, 2]\ndisabled_generations = [2]",
            "key_generations = [1, 2]\ndisabled_generations = [1, 1]",
        ] {
            assert!(Generations::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_committed_file_is_understood_and_the_root_has_the_variables() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform/api-keys");
        for environment in ["dev", "sit", "prod"] {
            let file = root.join(format!("environments/{environment}.tfvars"));
            assert!(Generations::read(&file).unwrap().is_some(), "{environment}");
        }
        let variables = fs::read_to_string(root.join("variables.tf")).unwrap();
        for (name, default) in Generations::initial().variables() {
            let (_, variable) = variables.split_once(&format!("variable \"{name}\" {{")).expect(name);
            let default = format!("default     = {default}\n");
            assert!(variable.split("\nvariable ").next().unwrap().contains(&default), "{name}");
        }
        assert_eq!(Generations::read(&root.join("environments/test.tfvars")).unwrap(), None);
    }
}

import { Argument, Command } from 'commander'
import { commands } from '../commands.ts'
import { bashScript, type Completed, fishScript, zshScript } from '../completion-scripts.ts'

const ABOUT_CHARS = 80

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript }

/** `roomcast completions SHELL`: a script for the shell, made of the commands themselves. */
export function completionsCommand(): Command {
  return new Command('completions')
    .description('Print the completions for a shell.')
    .addArgument(new Argument('<shell>', 'which').choices(Object.keys(scripts)))
    .addHelpText(
      'after',
      '\nExample:\n  $ roomcast completions bash > ~/.local/share/bash-completion/completions/roomcast' +
        '\n  $ roomcast completions zsh > ~/.zfunc/_roomcast' +
        '\n  $ roomcast completions fish > ~/.config/fish/completions/roomcast.fish',
    )
    .action(async (shell: keyof typeof scripts) => {
      process.stdout.write(scripts[shell](await everyCommand()))
    })
}

async function everyCommand(): Promise<Completed[]> {
  return Promise.all(
    Object.entries(commands).map(async ([name, { summary, load }]) => {
      const { options } = await load()
      const flags = options.flatMap(({ long, description, hidden, argChoices, required }) =>
        long === undefined || long === null || hidden
          ? []
          : [
              {
                flag: long,
                about: firstSentence(description),
                values: argChoices ?? [],
                takesValue: required,
              },
            ],
      )
      return {
        name,
        summary,
        flags: [...flags, { flag: '--help', about: 'how it is used', values: [], takesValue: false }],
      }
    }),
  )
}

/** What a line of a shell's list holds, cut between words. */
function firstSentence(text: string): string {
  const sentence = text.split(/[.;](?: |$)/)[0] ?? ''
  return sentence.length <= ABOUT_CHARS
    ? sentence
    : `${sentence.slice(0, ABOUT_CHARS).replace(/\W+\w*$/, '')} …`
}
